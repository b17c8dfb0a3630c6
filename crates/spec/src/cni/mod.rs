//! CNI, specification 1.1: network configuration, results and plugin errors as data, and the names that may become path
//! segments or environment values. Running plugins is `net`'s work.

mod conf;
mod names;
mod result;

pub use conf::{ConfError, NetworkList, Plugin, SUPPORTED_VERSIONS};
pub use names::{is_container_id, is_interface_name, is_network_name, is_plugin_type};
pub use result::{Dns, Interface, Ip, PluginError, Result, ResultError, Route};
