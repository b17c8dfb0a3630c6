//! Stop signals: CRI's enum and the kernel's names, which differ only in spelling.

use super::known;
use plimsoll_fault::Fault;
use plimsoll_proto::cri::Signal;

/// `SIGTERM`, `SIGRTMIN+1`; empty for "the image decides".
pub(crate) fn name(field: &str, number: i32) -> Result<String, Fault> {
    let signal: Signal = known(field, number)?;
    if signal == Signal::RuntimeDefault {
        return Ok(String::new());
    }
    let name = signal.as_str_name().trim_start_matches("SIGNAL_");
    Ok(name.replace("PLUS", "+").replace("MINUS", "-"))
}

/// The enum's number; 0 for a name that CRI does not have.
pub(crate) fn number(name: &str) -> i32 {
    let name = format!("SIGNAL_{}", name.replace('+', "PLUS").replace('-', "MINUS"));
    Signal::from_str_name(&name).unwrap_or(Signal::RuntimeDefault).into()
}
