//! Every broken config of `docs/contracts/errors.md` is refused with a fault that names layer and field, in one line, and leaves
//! nothing.
#![cfg(feature = "privileged")]

use plimsoll_testkit::errors::{cases, tell};
use plimsoll_testkit::run;
use plimsoll_testkit::runtimes::Runtime;

const OURS: Runtime = Runtime("plimrun");

#[test]
fn every_failure_is_a_fault_that_names_its_field() {
    let cases = cases();
    assert!(cases.len() >= 30, "{}", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let (scratch, told) = tell(OURS, case);
        let fault = &told.fault;
        let mut claim = |holds: bool, what: &str| {
            if !holds {
                wrong.push(format!("{}: {what}: exit {}, {}\n  {fault}", case.name, told.code, told.message));
            }
        };
        claim(told.code == 1, "the exit code");
        claim(fault["layer"] == case.layer, "the layer");
        claim(fault["detail"]["pointer"].as_str().unwrap_or_default() == case.pointer, "the pointer");
        claim(fault["phase"].as_str().is_some_and(|phase| !phase.is_empty()), "the phase");
        claim(fault["kind"].as_str().is_some_and(|kind| kind != "internal") || case.layer != "caller", "the kind");
        claim(!told.message.is_empty() && !told.message.contains('\n'), "one line");
        let parent = case.pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
        let named = told.message.contains(case.pointer) || told.message.contains(parent);
        claim(named, "the pointer, or what is above it, in the message");
        claim(run(OURS.command(&scratch).args(["state", &scratch.id("plimrun")])).code != 0, "a container is left");
        let parent = format!("/{}", scratch.cgroup_prefix());
        let left: Vec<_> = scratch.leftovers().into_iter().filter(|what| !what.ends_with(&parent)).collect();
        claim(left.is_empty(), &format!("{left:?} is left"));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
