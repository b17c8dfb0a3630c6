//! Create: the container with its init waiting for Start.

use super::{Key, Process, Task, rootfs};
use crate::durable;
use crate::io::{self, ChildIo, Logger, StdioSpec};
use crate::oci::Runtime;
use crate::oom;
use crate::server::{Answer, Call, Handled, Reply, Server, decode};
use crate::worker::{End, Job, Outcome, Reporter, limits};
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_proto::shim::{runc, task as wire, type_url, types};
use plimsoll_runtime::{Bundle, Stdio};
use plimsoll_spec::runtime::Spec;
use plimsoll_sys::SingleThread;
use prost::Message;
use rustix::process::Pid;
use std::collections::BTreeMap;
use std::path::Path;

/// The stage from which on the runtime may know the container.
const CREATING: &str = "create the container";

/// What the worker needs, decided before the fork.
struct Plan {
    id: String,
    namespace: String,
    runtime: Runtime,
    mounts: Vec<types::Mount>,
    options: runc::Options,
}

pub(crate) fn handle(server: &mut Server, call: &Call<'_>) -> Handled {
    let request: wire::CreateTaskRequest = decode(call)?;
    let id = request.id.clone();
    check(server, &request).map_err(|fault| fault.in_container(&id))?;
    let plan = plan(server, &request).map_err(|fault| fault.in_container(&id))?;
    let stdio =
        StdioSpec { stdin: request.stdin, stdout: request.stdout, stderr: request.stderr, terminal: request.terminal };
    let opened = io::open(&stdio).map_err(|fault| fault.in_container(&id))?;
    let mut init = Process::new(stdio);
    init.io = opened.io;
    let task = Task {
        runtime: plan.runtime.clone(),
        init,
        execs: BTreeMap::new(),
        shares_pids: false,
        mounted: !plan.mounts.is_empty(),
        paused: false,
        cgroup: None,
        oom_watch: None,
    };
    let job = Job::Create { id: id.clone(), reply: call.reply };
    server
        .start_worker(job, limits::CREATE, opened.child, move |token, reporter, io| work(token, reporter, io, &plan))?;
    server.tasks.insert(id.clone(), task);
    let key = Key::init(&id);
    let outputs = opened.outputs.into_iter().map(|stream| server.add_stream(stream, &key)).collect();
    let inputs = opened.input.into_iter().map(|stream| server.add_stream(stream, &key)).collect();
    let init = server.process(&key)?;
    (init.outputs, init.inputs) = (outputs, inputs);
    Ok(Answer::Later)
}

fn check(server: &Server, request: &wire::CreateTaskRequest) -> Result<(), Fault> {
    if server.tasks.contains_key(&request.id) {
        let text = format!("container {} is here already", request.id);
        return Err(Fault::new(Layer::Shim, "create", text).kind(Kind::AlreadyExists));
    }
    if server.is_cleaning_up(&request.id) {
        let text = format!("what is left of an earlier container {} is being removed", request.id);
        return Err(Fault::new(Layer::Shim, "create", text).kind(Kind::Unavailable));
    }
    if !request.checkpoint.is_empty() {
        let text = "creating a container from a checkpoint is not implemented";
        return Err(Fault::new(Layer::Shim, "create", text).kind(Kind::Unimplemented));
    }
    if !Path::new(&request.bundle).is_absolute() {
        return Err(Fault::invalid("create", format!("bundle {:?} is not an absolute path", request.bundle)));
    }
    Ok(())
}

fn plan(server: &Server, request: &wire::CreateTaskRequest) -> Result<Plan, Fault> {
    let options = match &request.options {
        Some(any) if any.type_url.ends_with(type_url::RUNC_OPTIONS) => runc::Options::decode(any.value.as_slice())
            .map_err(|e| Fault::invalid("create", "the runtime options cannot be read").because(&e))?,
        _ => runc::Options::default(),
    };
    let runtime = Runtime::chosen(&options, &server.settings.namespace, Path::new(&request.bundle));
    let namespace = server.settings.namespace.clone();
    Ok(Plan { id: request.id.clone(), namespace, runtime, mounts: request.rootfs.clone(), options })
}

/// In the worker. Before anything is made the bundle says where: the shim's `delete` finds it should the shim die.
fn work(token: &SingleThread, reporter: &mut Reporter, io: ChildIo, plan: &Plan) -> Result<Outcome, Fault> {
    reporter.stage("read the config");
    let bundle = Bundle::load(&plan.runtime.bundle)?;
    let shares_pids = shares_pids(bundle.spec());
    durable::write_task(&plan.runtime)
        .map_err(|e| Fault::new(Layer::Shim, "create", "cannot keep the task's record in the bundle").because(&e))?;
    reporter.stage("start the logger");
    let logger = start_logger(token, io.logger, &plan.namespace, &plan.id)?;
    match make(token, reporter, io.stdio, plan, bundle) {
        Ok(pid) => Ok(Outcome { pid, shares_pids, logger }),
        // The container of that name is another's, and not for our `delete` to remove.
        Err(fault) if fault.class() == Kind::AlreadyExists => {
            Err(match durable::remove(&plan.runtime.bundle.join(durable::TASK_FILE)) {
                Ok(()) => fault,
                Err(second) => fault.why(second.to_string()),
            })
        }
        Err(fault) => Err(fault),
    }
}

/// Its pid; 0 without one.
pub(crate) fn start_logger(
    token: &SingleThread,
    logger: Option<Logger>,
    namespace: &str,
    id: &str,
) -> Result<i32, Fault> {
    let started = logger.map(|logger| logger.start(token, namespace, id)).transpose()?;
    Ok(started.map_or(0, |pid| pid.as_raw_nonzero().get()))
}

/// Mounts the rootfs and makes the container; leaves nothing behind when that fails. Returns the init's pid.
fn make(
    token: &SingleThread,
    reporter: &mut Reporter,
    stdio: Stdio,
    plan: &Plan,
    bundle: Bundle,
) -> Result<i32, Fault> {
    reporter.stage("mount the rootfs");
    let target = plan.runtime.bundle.join("rootfs");
    rootfs::mount(&plan.mounts, &target)?;
    reporter.stage(CREATING);
    match plan.runtime.create(token, &plan.id, bundle, &plan.options, stdio) {
        Ok(pid) => Ok(pid),
        Err(fault) if !plan.mounts.is_empty() => Err(match rootfs::unmount(&target) {
            Ok(()) => fault,
            Err(second) => fault.why(second.to_string()),
        }),
        Err(fault) => Err(fault),
    }
}

fn shares_pids(spec: &Spec) -> bool {
    let namespaces = spec.linux.iter().flat_map(|linux| &linux.namespaces);
    !namespaces.into_iter().any(|namespace| namespace.kind == "pid" && namespace.path.is_none())
}

/// In the server, when the worker has ended. What a lost worker made is taken away again, and so is a container whose last
/// steps failed here. A worker that failed by itself has seen to it, and a container of that name may be another's.
pub(crate) fn finish(server: &mut Server, id: &str, reply: Reply, end: End) {
    let created = match &end {
        End::Done(_) => true,
        End::Failed(_) => false,
        End::Lost { stage, .. } => stage == CREATING,
    };
    let lost = matches!(end, End::Lost { .. });
    let result = end.result().and_then(|outcome| made(server, id, &outcome));
    match result {
        Ok(pid) => {
            server.events.created(id, &server.tasks);
            server.answer(reply, Ok(wire::CreateTaskResponse { pid }.encode_to_vec()));
            server.settle_early_end(&Key::init(id));
        }
        Err(fault) => {
            if let Some(task) = forget(server, id)
                && (created || lost)
            {
                super::delete::clean_up(server, id, &task, created);
            }
            server.answer(reply, Err(fault.in_container(id)));
        }
    }
}

fn made(server: &mut Server, id: &str, outcome: &Outcome) -> Result<u32, Fault> {
    let key = Key::init(id);
    // runsc gives the whole pod's where it runs several containers in one kernel: how one of them ends could not be told.
    let pid = Pid::from_raw(outcome.pid);
    let other = |task: &Task| task.init.exit.is_none() && task.init.pid.is_some() && task.init.pid == pid;
    if server.tasks.values().any(other) {
        let what = "the runtime gave the process of another container";
        return Err(Fault::new(Layer::OciRuntime, "create", what).kind(Kind::FailedPrecondition));
    }
    let task = server.task(id)?;
    task.init.pid = pid;
    task.init.logger = Pid::from_raw(outcome.logger);
    task.shares_pids = outcome.shares_pids;
    task.cgroup = oom::cgroup_of(outcome.pid);
    let (output, input) = io::attach_console(&mut task.init.io)?;
    let outputs: Vec<u32> = output.into_iter().map(|stream| server.add_stream(stream, &key)).collect();
    let inputs: Vec<u32> = input.into_iter().map(|stream| server.add_stream(stream, &key)).collect();
    let init = server.process(&key)?;
    init.outputs.extend(outputs);
    init.inputs.extend(inputs);
    server.watch_memory(id);
    Ok(server.process(&key)?.pid_number())
}

fn forget(server: &mut Server, id: &str) -> Option<Task> {
    let task = server.tasks.remove(id)?;
    for stream in task.init.outputs.iter().chain(&task.init.inputs) {
        server.drop_stream(*stream);
    }
    Some(task)
}
