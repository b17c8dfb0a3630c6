//! `linux.intelRdt`: the resctrl group of the container.

use crate::fault::bad_config;
use plimsoll_fault::Fault;
use plimsoll_spec::runtime::IntelRdt;

/// Which group, and what is written to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RdtPlan {
    /// None: a group of the container's own, named by its id.
    pub group: Option<String>,
    /// Lines of `schemata` with the field that each comes from, in the order in which they are written.
    pub schemata: Vec<(String, &'static str)>,
    pub monitoring: bool,
}

pub(super) fn plan(given: &IntelRdt) -> Result<RdtPlan, Fault> {
    let group = given.clos_id.clone().filter(|id| !id.is_empty());
    if let Some(id) = &group
        && (id == "." || id == ".." || id.contains(['/', '\0', '\n']))
    {
        return Err(bad_config("/linux/intelRdt/closID", format!("{id:?} is no name of a group")));
    }
    let single = [(&given.l3_cache_schema, "l3CacheSchema"), (&given.mem_bw_schema, "memBwSchema")];
    let single = single.into_iter().filter_map(|(line, field)| line.clone().map(|line| (line, field)));
    let lines = single.chain(given.schemata.iter().map(|line| (line.clone(), "schemata")));
    let schemata = lines.filter(|(line, _)| !line.is_empty()).collect();
    Ok(RdtPlan { group, schemata, monitoring: given.enable_monitoring })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_in_the_order_of_the_specification() {
        let given = IntelRdt {
            clos_id: Some(String::new()),
            schemata: vec!["L2:0=f".into(), String::new()],
            l3_cache_schema: Some("L3:0=ff".into()),
            mem_bw_schema: Some("MB:0=20".into()),
            enable_monitoring: true,
        };
        let got = plan(&given).expect("a plan");
        let lines: Vec<&str> = got.schemata.iter().map(|(line, _)| line.as_str()).collect();
        assert_eq!((got.group, lines, got.monitoring), (None, vec!["L3:0=ff", "MB:0=20", "L2:0=f"], true));
        for bad in [".", "..", "a/b", "a\nb"] {
            assert!(plan(&IntelRdt { clos_id: Some(bad.into()), ..IntelRdt::default() }).is_err(), "{bad:?}");
        }
    }
}
