//! What broke other OCI runtimes must not break ours: a test for each published vulnerability of runc, crun and youki, named
//! after it (its kin are named in its text). Each runs on plimrun and on the peers that are installed.
#![cfg(feature = "privileged")]

#[path = "cve/harness.rs"]
mod harness;
#[path = "cve/places.rs"]
mod places;
#[path = "cve/process.rs"]
mod process;
#[path = "cve/races.rs"]
mod races;

/// One module of tests for each runtime, with the bodies that it is held to.
macro_rules! regressions {
    ($($runtime:ident: [$($area:ident::$body:ident),* $(,)?])*) => {
        $(mod $runtime {
            $(#[test] fn $body() { super::$area::$body(plimsoll_testkit::runtimes::Runtime(stringify!($runtime))); })*
        })*
    };
}
// Left out, because they do what ours must not: runc 1.5.2 takes `--user 4294967296` (as root), crun 1.28 `--user -1`; crun mounts
// a tmpfs over /proc and a file over a setting in /proc/sys, and opens a /dev/null that is a symlink.
regressions! {
    plimrun: [
        process::cve_2019_5736, process::cve_2021_43784, process::cve_2022_29162, process::cve_2023_25173, process::cve_2023_25809,
        process::cve_2024_21626, process::cve_2024_21626_exec, process::cve_2026_30892,
        places::cve_2019_16884, places::cve_2019_18837, places::cve_2023_27561, places::cve_2025_24965, places::cve_2025_31133,
        places::cve_2025_52565, places::cve_2025_52881, places::cve_2026_41579,
        races::cve_2019_19921, races::cve_2021_30465, races::cve_2025_31133_race,
    ]
    runc: [
        process::cve_2019_5736, process::cve_2021_43784, process::cve_2022_29162, process::cve_2023_25173, process::cve_2023_25809,
        process::cve_2024_21626, process::cve_2024_21626_exec,
        places::cve_2019_16884, places::cve_2019_18837, places::cve_2023_27561, places::cve_2025_24965, places::cve_2025_31133,
        places::cve_2025_52565, places::cve_2025_52881, places::cve_2026_41579,
        races::cve_2019_19921, races::cve_2021_30465, races::cve_2025_31133_race,
    ]
    crun: [
        process::cve_2019_5736, process::cve_2021_43784, process::cve_2022_29162, process::cve_2023_25173, process::cve_2023_25809,
        process::cve_2024_21626, process::cve_2024_21626_exec,
        places::cve_2019_18837, places::cve_2023_27561, places::cve_2025_24965,
        places::cve_2025_52565, places::cve_2026_41579,
        races::cve_2019_19921, races::cve_2021_30465, races::cve_2025_31133_race,
    ]
}
