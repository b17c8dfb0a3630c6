//! Whole specs from whole requests.

use super::{Accounts, Finished, Host, Inputs, Origin, assemble, resolve};
use crate::config::Handler;
use crate::container::{ContainerConfig, EnvVar, Mount, SeccompProfile};
use crate::sandbox::{NamespaceMode, SandboxConfig};
use plimsoll_fault::{Kind, Layer, Result};
use plimsoll_spec::image::ContainerConfig as ImageProcess;
use plimsoll_spec::runtime::Spec;
use std::path::Path;

struct Case {
    sandbox: SandboxConfig,
    config: ContainerConfig,
    image: ImageProcess,
    handler: Handler,
    host: Host,
}

fn case() -> Case {
    let mut config = ContainerConfig::default();
    config.metadata.name = "c".into();
    config.security.namespaces.pid = NamespaceMode::Container;
    config.resources.memory_limit = 64 << 20;
    config.resources.cpu_shares = 512;
    config.security.seccomp = Some(SeccompProfile::RuntimeDefault);
    let image = ImageProcess {
        entrypoint: vec!["/entry".into()],
        cmd: vec!["arg".into()],
        env: vec!["PATH=/image".into(), "A=image".into(), "B=image".into()],
        working_dir: "/srv".into(),
        user: "5:6".into(),
        ..ImageProcess::default()
    };
    let host = Host {
        capabilities: super::capabilities::NAMES.iter().map(|name| format!("CAP_{name}")).collect(),
        oom_score_floor: 0,
        cgroup_unified: false,
        swap_limit: true,
        hugetlb: false,
        apparmor: false,
    };
    Case { sandbox: SandboxConfig::default(), config, image, handler: Handler::default(), host }
}

impl Case {
    fn build(&self) -> Result<Finished> {
        let user = resolve(&self.config.security, &self.image.user, &Accounts::default())?;
        let inputs = Inputs {
            id: "cid",
            sandbox_id: "sid",
            sandbox: &self.sandbox,
            config: &self.config,
            image: &self.image,
            handler: &self.handler,
            handler_name: "plimsoll",
            host: &self.host,
            user: &user,
            hostname: "pod",
            sandbox_dir: Path::new("/nowhere/sandbox"),
            ns_dir: Path::new("/nowhere/sandbox/ns"),
            netns: Some(Path::new("/run/netns/plim-x")),
            target_pids: None,
            cgroup_parent: "/plimsoll",
            systemd_cgroup: false,
            default_env: &[],
            seccomp_by_default: false,
        };
        assemble(&inputs).map(|(finished, _)| finished)
    }

    fn args(&self) -> Vec<String> {
        let config = self.build().expect("assembles").config;
        config["process"]["args"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|v| v.as_str().unwrap_or("").to_owned())
            .collect()
    }
}

#[test]
fn no_leaf_lacks_an_origin_and_the_runtime_can_read_it() {
    let mut privileged = case();
    privileged.config.security.privileged = true;
    privileged.sandbox.security.privileged = true;
    privileged.config.security.readonly_rootfs = true;
    privileged.config.tty = true;
    privileged.config.resources.hugepage_limits.insert("2MB".into(), 1);
    privileged.config.resources.oom_score_adj = -500;
    privileged.config.mounts =
        vec![Mount { container_path: "/tmp/x".into(), host_path: "/tmp".into(), ..Mount::default() }];
    for case in [case(), privileged] {
        let done = case.build().expect("assembles");
        assert_eq!(done.unowned(), Vec::<String>::new());
        Spec::parse(done.config.to_string().as_bytes()).expect("the runtime's own parser takes it");
        let text = serde_json::to_string(&done.provenance).expect("writes");
        assert!(text.contains(r#"{"kind":"image","field":"Env"}"#), "{text}");
    }
}

#[test]
fn request_and_image_are_merged_as_the_kubelet_expects() {
    let mut case = case();
    assert_eq!(case.args(), ["/entry", "arg"]);
    case.config.args = vec!["x".into()];
    assert_eq!(case.args(), ["/entry", "x"]);
    case.config.command = vec!["sh".into()];
    assert_eq!(case.args(), ["sh", "x"]);
    case.config.args.clear();
    assert_eq!(case.args(), ["sh"]);
    case.config.envs = vec![EnvVar { key: "B".into(), value: b"request".to_vec() }];
    let done = case.build().expect("assembles");
    let env = done.config["process"]["env"].to_string();
    assert_eq!(env, r#"["PATH=/image","HOSTNAME=pod","A=image","B=request"]"#);
    assert_eq!(done.origin("/process/env/0"), Some(&Origin::image("Env")));
    assert_eq!(done.origin("/process/env/3"), Some(&Origin::request("container.envs[B]")));
    assert_eq!(done.config["process"]["cwd"], "/srv");
    assert_eq!(done.config["process"]["user"]["gid"], 6);
    assert_eq!(done.config["linux"]["cgroupsPath"], "/plimsoll/cid");
}

#[test]
fn what_cannot_be_assembled_is_a_fault_of_the_spec() {
    let mut empty = case();
    (empty.image.entrypoint, empty.image.cmd) = (Vec::new(), Vec::new());
    let mut bytes = case();
    bytes.config.envs = vec![EnvVar { key: "X".into(), value: vec![0xff] }];
    let mut zero = case();
    zero.image.env = vec!["X=a\0b".into()];
    let mut folder = case();
    folder.image.working_dir = "relative".into();
    for (case, pointer) in
        [(empty, "/process/args"), (bytes, "/process/env"), (zero, "/process/env"), (folder, "/process/cwd")]
    {
        let fault = case.build().expect_err(pointer);
        assert_eq!((fault.layer(), fault.class()), (&Layer::Spec, Kind::InvalidArgument));
        assert_eq!(fault.details().pointer.as_deref(), Some(pointer));
    }
}

#[test]
fn annotations_need_the_handlers_exact_leave() {
    let mut case = case();
    case.sandbox.annotations.insert("run.oci.keep".into(), "a".into());
    case.sandbox.annotations.insert("run.oci.keep_original".into(), "b".into());
    case.sandbox.annotations.insert("org.systemd.property.X".into(), "c".into());
    case.image.labels.insert("run.oci.keep".into(), "from the image".into());
    let annotations = |case: &Case| case.build().expect("assembles").config["annotations"].to_string();
    assert!(!annotations(&case).contains("run.oci"));
    case.handler.annotations = vec!["run.oci.keep".into()];
    let text = annotations(&case);
    assert!(
        text.contains(r#""run.oci.keep":"a""#) && !text.contains("original") && !text.contains("systemd"),
        "{text}"
    );
}

#[test]
fn what_the_host_cannot_is_clamped_and_said() {
    let mut case = case();
    case.config.resources.oom_score_adj = -998;
    let done = case.build().expect("assembles");
    assert_eq!(done.config["process"]["oomScoreAdj"], 0);
    assert!(matches!(done.origin("/process/oomScoreAdj"), Some(Origin::Kernel { .. })));
}

#[test]
fn a_mount_over_a_default_one_takes_its_place_and_outer_ones_come_first() {
    let mut case = case();
    let mount = |to: &str| Mount { container_path: to.into(), host_path: "/tmp".into(), ..Mount::default() };
    case.config.mounts = vec![mount("/dev/shm"), mount("/a/b/c"), mount("/a/b")];
    let done = case.build().expect("assembles");
    let list = done.config["mounts"].as_array().expect("a list");
    let places: Vec<&str> = list.iter().filter_map(|m| m["destination"].as_str()).collect();
    let at = |place: &str| places.iter().position(|p| *p == place).expect(place);
    assert_eq!(places.iter().filter(|p| **p == "/dev/shm").count(), 1);
    assert_eq!(list[at("/dev/shm")]["source"], "/tmp");
    assert!(at("/a/b") < at("/a/b/c") && at("/dev") < at("/dev/shm"));
}
