//! `plimrun update [--resources FILE|-] [--memory BYTES] … ID`: runc's flags. With `--resources` the others are ignored.

use crate::args::{Flag, Global, Parsed, parse, usage};
use plimsoll_fault::{Fault, Layer};
use plimsoll_spec::runtime::{BlockIo, Cpu, Memory, Pids, Resources};
use std::ffi::OsString;
use std::io::Read;
use std::process::ExitCode;

const FLAGS: [Flag; 19] = [
    Flag::Short("resources", "r"),
    Flag::Value("blkio-weight"),
    Flag::Value("cpu-period"),
    Flag::Value("cpu-quota"),
    Flag::Value("cpu-burst"),
    Flag::Value("cpu-share"),
    Flag::Value("cpu-rt-period"),
    Flag::Value("cpu-rt-runtime"),
    Flag::Value("cpu-idle"),
    Flag::Value("cpuset-cpus"),
    Flag::Value("cpuset-mems"),
    Flag::Value("kernel-memory"),
    Flag::Value("kernel-memory-tcp"),
    Flag::Value("memory"),
    Flag::Value("memory-reservation"),
    Flag::Value("memory-swap"),
    Flag::Value("pids-limit"),
    Flag::Value("l3-cache-schema"),
    Flag::Value("mem-bw-schema"),
];

/// A document of resources is no larger.
const LIMIT: u64 = 1 << 20;

pub(super) fn run(global: &Global, words: Vec<OsString>) -> Result<ExitCode, Fault> {
    let parsed = parse(&FLAGS, words, usize::MAX)?;
    if parsed.operands.len() > 1 {
        return Err(usage(format!("unexpected argument {:?}", parsed.operands[1])));
    }
    let mut resources = match parsed.value("resources").filter(|path| !path.is_empty()) {
        Some(path) => plimsoll_runtime::parse_resources(&read(path)?)?,
        None => from_flags(&parsed)?,
    };
    let schemata: Vec<&str> =
        ["l3-cache-schema", "mem-bw-schema"].iter().filter_map(|flag| parsed.value(flag)).collect();
    let schemata: Vec<&str> = schemata.into_iter().filter(|text| !text.is_empty()).collect();
    let root = global.root()?;
    if let Some(memory) = &mut resources.memory
        && (memory.kernel.take().is_some() | memory.kernel_tcp.take().is_some())
    {
        global.log.warn("Kernel memory settings are ignored");
    }
    plimsoll_runtime::update(&root, parsed.only_id()?, resources, &schemata)?;
    Ok(ExitCode::SUCCESS)
}

fn read(path: &str) -> Result<Vec<u8>, Fault> {
    let mut text = Vec::new();
    let read = match path {
        "-" => std::io::stdin().lock().take(LIMIT + 1).read_to_end(&mut text),
        path => std::fs::File::open(path).and_then(|file| file.take(LIMIT + 1).read_to_end(&mut text)),
    };
    read.map_err(|error| Fault::new(Layer::Caller, "load", format!("cannot read {path}")).because(&error))?;
    if text.len() as u64 > LIMIT {
        return Err(usage(format!("{path} is larger than {LIMIT} bytes")));
    }
    Ok(text)
}

fn from_flags(parsed: &Parsed) -> Result<Resources, Fault> {
    let text = |flag: &str| parsed.value(flag).filter(|value| !value.is_empty()).map(str::to_owned);
    let weight = number::<u16>(parsed, "blkio-weight")?.filter(|weight| *weight != 0);
    Ok(Resources {
        memory: Some(Memory {
            limit: bytes(parsed, "memory")?,
            reservation: bytes(parsed, "memory-reservation")?,
            swap: bytes(parsed, "memory-swap")?,
            kernel: bytes(parsed, "kernel-memory")?,
            kernel_tcp: bytes(parsed, "kernel-memory-tcp")?,
            ..Memory::default()
        }),
        cpu: Some(Cpu {
            shares: number(parsed, "cpu-share")?,
            quota: number(parsed, "cpu-quota")?,
            burst: number(parsed, "cpu-burst")?,
            period: number(parsed, "cpu-period")?,
            realtime_runtime: number(parsed, "cpu-rt-runtime")?,
            realtime_period: number(parsed, "cpu-rt-period")?,
            cpus: text("cpuset-cpus"),
            mems: text("cpuset-mems"),
            idle: number(parsed, "cpu-idle")?,
        }),
        pids: number(parsed, "pids-limit")?.map(|limit| Pids { limit: Some(limit) }),
        block_io: weight.map(|weight| BlockIo { weight: Some(weight), ..BlockIo::default() }),
        ..Resources::default()
    })
}

/// An empty value is as if the flag were absent.
fn number<T: std::str::FromStr>(parsed: &Parsed, flag: &str) -> Result<Option<T>, Fault> {
    let Some(text) = parsed.value(flag).filter(|value| !value.is_empty()) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| usage(format!("invalid value for {flag}: {text:?}")))
}

/// A number with an optional unit of 1024, in either case, with or without `b` or `ib` after it; -1 is no limit.
fn bytes(parsed: &Parsed, flag: &str) -> Result<Option<i64>, Fault> {
    let Some(text) = parsed.value(flag).filter(|value| !value.is_empty()) else { return Ok(None) };
    if text == "-1" {
        return Ok(Some(-1));
    }
    size(text).map(Some).ok_or_else(|| usage(format!("invalid value for {flag}: {text:?}")))
}

fn size(text: &str) -> Option<i64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (amount, unit) = text.split_at(end);
    let unit = unit.trim_start().to_ascii_lowercase();
    let shift = match unit.trim_end_matches('b').trim_end_matches('i') {
        "" if !unit.contains('i') => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        _ => return None,
    };
    if let Ok(whole) = amount.parse::<i64>() {
        return whole.checked_mul(1 << shift);
    }
    let value = amount.parse::<f64>().ok()? * (1i64 << shift) as f64;
    (value < i64::MAX as f64).then_some(value as i64)
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes() {
        let good = [
            ("1", 1),
            ("32M", 32 << 20),
            ("1.5k", 1536),
            ("2gb", 2 << 30),
            ("4KiB", 4096),
            ("10b", 10),
            ("1 g", 1 << 30),
        ];
        for (text, value) in good {
            assert_eq!(size(text), Some(value), "{text}");
        }
        for bad in ["", "x", "-5", "1x", "1.2.3", "9999999999g", "k", "1i"] {
            assert_eq!(size(bad), None, "{bad}");
        }
    }
}
