//! The error channel: `--log FILE --log-format text|json`, as shims read it. The last line is the fault.

use plimsoll_fault::Fault;
use plimsoll_runtime::now_rfc3339;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Format {
    #[default]
    Text,
    Json,
}

/// Where lines go: a file, or standard error.
#[derive(Clone, Debug, Default)]
pub(crate) struct Log {
    pub file: Option<PathBuf>,
    pub format: Format,
}

impl Log {
    /// Writes the fault as the log's last line, says it on standard error too, and gives the exit code.
    pub(crate) fn fail(&self, fault: &Fault, code: u8) -> ExitCode {
        let text = fault.to_string();
        let line = self.line("error", &text, Some(fault));
        if let Err(error) = self.write(&line) {
            eprintln!("plimrun: cannot write the log: {error}");
        }
        if self.file.is_some() {
            eprintln!("{text}");
        }
        ExitCode::from(code)
    }

    pub(crate) fn warn(&self, text: &str) {
        if let Err(error) = self.write(&self.line("warning", text, None)) {
            eprintln!("plimrun: cannot write the log: {error}");
        }
    }

    fn line(&self, level: &str, text: &str, fault: Option<&Fault>) -> String {
        let time = now_rfc3339();
        match self.format {
            Format::Text => format!("time={time:?} level={level} msg={text:?}\n"),
            Format::Json => {
                let mut line = serde_json::json!({ "level": level, "msg": text, "time": time });
                if let Some(fault) = fault.and_then(|f| serde_json::to_value(f).ok()) {
                    line["fault"] = fault;
                }
                format!("{line}\n")
            }
        }
    }

    fn write(&self, line: &str) -> std::io::Result<()> {
        match &self.file {
            None => std::io::stderr().write_all(line.as_bytes()),
            Some(path) => {
                let mut file = OpenOptions::new().create(true).append(true).mode(0o644).open(path)?;
                file.write_all(line.as_bytes())
            }
        }
    }
}
