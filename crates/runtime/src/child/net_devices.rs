//! The interfaces that the parent moved in: their addresses again, and up.

use crate::parent::net_devices::{NetDevice, failed, open};
use plimsoll_fault::Fault;
use rustix::io::Errno;

pub(super) fn configure(devices: &[NetDevice]) -> Result<(), Fault> {
    let mut route = open()?;
    for NetDevice { plan, addresses, .. } in devices {
        let index = route.index(&plan.new_name).map_err(|error| failed(plan, "RTM_GETLINK", error))?;
        for address in addresses {
            match route.add(index, address) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(failed(plan, "RTM_NEWADDR", error)),
            }
        }
        route.set_up(index, true).map_err(|error| failed(plan, "RTM_NEWLINK", error))?;
    }
    Ok(())
}
