//! Network interfaces that go into the container: looked at before anything is made, moved once the container's namespace is there.

use crate::fault::Os;
use crate::plan::NetDevicePlan;
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_sys::rtnetlink::{Address, Rtnetlink};
use rustix::io::Errno;
use rustix::process::Pid;

/// One interface with what a move would lose.
#[derive(Debug)]
pub(crate) struct NetDevice {
    pub plan: NetDevicePlan,
    index: u32,
    pub addresses: Vec<Address>,
}

pub(crate) fn find(plans: &[NetDevicePlan]) -> Result<Vec<NetDevice>, Fault> {
    if plans.is_empty() {
        return Ok(Vec::new());
    }
    let mut route = open()?;
    let mut one = |plan: &NetDevicePlan| {
        let index = route.index(&plan.name).map_err(|error| {
            let fault = failed(plan, "RTM_GETLINK", error);
            match error {
                Errno::NODEV => {
                    fault.kind(Kind::NotFound).hint("the runtime's network namespace has no such interface")
                }
                _ => fault,
            }
        })?;
        let addresses = route.addresses(index).map_err(|error| failed(plan, "RTM_GETADDR", error))?;
        Ok(NetDevice { plan: plan.clone(), index, addresses })
    };
    plans.iter().map(&mut one).collect()
}

/// Moves them into the namespace of `process`. Should the container fail to be made afterwards, the kernel gives physical ones
/// back to the first namespace and removes virtual ones, as whenever a namespace ends.
pub(crate) fn give(devices: &[NetDevice], process: Pid) -> Result<(), Fault> {
    let mut route = open()?;
    for NetDevice { plan, index, .. } in devices {
        route.set_up(*index, false).map_err(|error| failed(plan, "RTM_NEWLINK", error))?;
        route.move_to(*index, process, &plan.new_name).map_err(|error| {
            let fault = failed(plan, "RTM_NEWLINK", error);
            match error {
                Errno::EXIST => fault.hint(format!("the container's namespace has a {} already", plan.new_name)),
                Errno::INVAL => fault.hint("this kind of interface cannot be moved"),
                _ => fault,
            }
        })?;
    }
    Ok(())
}

pub(crate) fn open() -> Result<Rtnetlink, Fault> {
    Rtnetlink::open().map_err(|error| {
        let fault = Fault::new(Layer::OciRuntime, "network", "cannot speak rtnetlink");
        fault.os("socket", "NETLINK_ROUTE", &error.into())
    })
}

pub(crate) fn failed(plan: &NetDevicePlan, call: &str, error: Errno) -> Fault {
    let pointer = plan.pointer();
    let what = format!("config.json: {pointer}: cannot move {} into the container as {}", plan.name, plan.new_name);
    Fault::new(Layer::OciRuntime, "network", what)
        .os(call, &plan.name, &error.into())
        .detail(|d| d.pointer = Some(pointer.clone()))
}
