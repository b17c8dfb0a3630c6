//! Kill: a signal to a process, or to all of a container.

use super::{Key, Phase};
use crate::io::ChildIo;
use crate::server::{Answer, Call, Handled, Reply, Server, answer, decode};
use crate::worker::{Job, Outcome, limits};
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_proto::shim::task as wire;
use rustix::process::{Pid, Signal};

const SIGKILL: i32 = Signal::KILL.as_raw();

pub(crate) fn handle(server: &mut Server, call: &Call<'_>) -> Handled {
    let request: wire::KillRequest = decode(call)?;
    let key = Key::new(&request.id, &request.exec_id);
    let signal = i32::try_from(request.signal).unwrap_or(-1);
    let process = server.process(&key)?;
    let pid = match (process.phase(), process.pid) {
        (Phase::Created | Phase::Running, Some(pid)) => pid,
        // containerd's callers look for this kind to tell "gone already" from a failure.
        _ => return Err(gone(&key)),
    };
    if request.all && key.exec_id.is_empty() {
        let job = Job::KillAll { reply: call.reply };
        kill_all(server, &key.id, signal, job)?;
        return Ok(Answer::Later);
    }
    send(&key, pid, signal)?;
    if signal == SIGKILL {
        thaw(server, &key.id)?;
    }
    answer(&())
}

/// A process in a frozen v1 cgroup dies only once it is thawed.
fn thaw(server: &mut Server, id: &str) -> Result<(), Fault> {
    let task = server.task(id)?;
    if !task.paused {
        return Ok(());
    }
    task.paused = false;
    let (runtime, name) = (task.runtime.clone(), id.to_owned());
    let job = Job::Cleanup { id: id.to_owned() };
    server.start_worker(job, limits::FREEZE, ChildIo::default(), move |_, reporter, _| {
        reporter.stage("thaw the container");
        runtime.resume(&name)?;
        Ok(Outcome::default())
    })
}

/// To one process. It is a child that has not been reaped, so its pid is its own.
fn send(key: &Key, pid: Pid, signal: i32) -> Result<(), Fault> {
    if !(1..=64).contains(&signal) {
        return Err(Fault::invalid("kill", format!("{signal} is no signal")));
    }
    plimsoll_sys::process::kill(pid, signal).map_err(|errno| {
        if errno == rustix::io::Errno::SRCH {
            return gone(key);
        }
        let fault = Fault::new(Layer::Shim, "kill", format!("cannot signal process {}", pid.as_raw_nonzero()));
        fault.because(&errno).syscall("kill", "", errno.raw_os_error()).in_container(&key.id)
    })
}

fn gone(key: &Key) -> Fault {
    Fault::new(Layer::Shim, "kill", "process already finished").kind(Kind::NotFound).in_container(&key.id)
}

fn kill_all(server: &mut Server, id: &str, signal: i32, job: Job) -> Result<(), Fault> {
    let runtime = server.task(id)?.runtime.clone();
    let name = id.to_owned();
    server.start_worker(job, limits::KILL, ChildIo::default(), move |_, reporter, _| {
        reporter.stage("signal the container");
        runtime.kill_all(&name, signal)?;
        Ok(Outcome::default())
    })
}

/// After the end of an init that had no PID namespace of its own: its other processes would go on.
pub(crate) fn kill_rest(server: &mut Server, id: &str) {
    let job = Job::Cleanup { id: id.to_owned() };
    if let Err(fault) = kill_all(server, id, SIGKILL, job) {
        server.log.warn(&fault.in_container(id));
    }
}

pub(crate) fn finish(server: &mut Server, reply: Reply, result: Result<Outcome, Fault>) {
    server.answer(reply, result.map(|_| Vec::new()));
}
