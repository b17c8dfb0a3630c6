//! Workers in the loop: their reports, their deadlines, and the hand-over of what they did to the verb that asked.

use super::Server;
use super::poller::Token;
use crate::io::ChildIo;
use crate::worker::{self, End, Job, Outcome, Report, Reporter, Worker};
use crate::{sandbox, task};
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_sys::SingleThread;
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitStatus};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// The part of a caller's own deadline that a worker gets, so that our fault, which names the stage, arrives in time.
const SHARE: f64 = 0.9;

/// How long a killed worker may take to be gone before its caller is answered all the same: one that waits for a dead disk
/// cannot be killed.
const GRACE: Duration = Duration::from_millis(100);

impl Server {
    /// Forks a worker for `job`. `limit` is cut to what the caller waits.
    pub(crate) fn start_worker(
        &mut self,
        job: Job,
        limit: Duration,
        io: ChildIo,
        work: impl FnOnce(&SingleThread, &mut Reporter, ChildIo) -> Result<Outcome, Fault>,
    ) -> Result<(), Fault> {
        let caller = job.reply().and_then(|reply| reply.timeout);
        let limit = caller.map_or(limit, |timeout| limit.min(timeout.mul_f64(SHARE)));
        let (pid, pipe) = worker::spawn(&self.token, io, work)?;
        let id = self.new_id();
        let watched = self.poller.add(pipe.as_fd(), Token::Worker(id), EventFlags::IN);
        let (stage, started) = ("begin".to_owned(), Instant::now());
        let worker = Worker { pid, pipe, text: Vec::new(), stage, started, limit, job, given_up: None };
        if let Err(errno) = watched {
            self.kill_worker(&worker);
            return Err(Fault::new(Layer::Shim, "worker", "cannot watch a worker").because(&errno));
        }
        self.workers.insert(id, worker);
        Ok(())
    }

    /// A worker removes what is left of a container `id`; a new one of that name must wait.
    pub(crate) fn is_cleaning_up(&self, id: &str) -> bool {
        self.workers.values().any(|worker| matches!(&worker.job, Job::Cleanup { id: named } if named == id))
    }

    /// Workers at work that nobody waits for. They remove something, and they die with the shim.
    pub(super) fn is_removing(&self) -> bool {
        self.workers.values().any(|worker| worker.job.reply().is_none())
    }

    pub(super) fn read_all_workers(&mut self) {
        let ids: Vec<u32> = self.workers.keys().copied().collect();
        for id in ids {
            self.read_worker(id);
        }
    }

    /// Reads what a worker has reported; when it says how it ended, its job is finished.
    pub(super) fn read_worker(&mut self, id: u32) {
        loop {
            let Some(worker) = self.workers.get_mut(&id).filter(|worker| worker.given_up.is_none()) else { return };
            match rustix::io::read(&worker.pipe, &mut *self.scratch) {
                // It ends without a word, or has begun to: reaping it tells how.
                Ok(0) => return self.poller.remove(worker.pipe.as_fd()),
                Ok(count) if worker.text.len() + count <= worker::REPORT_LIMIT => {
                    worker.text.extend_from_slice(&self.scratch[..count]);
                }
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => continue,
                Ok(_) | Err(_) => return self.give_up(id, unreadable()),
            }
            match take_reports(worker) {
                Ok(None) => {}
                Ok(Some(end)) => return self.finish_worker(id, end),
                Err(fault) => return self.give_up(id, fault),
            }
        }
    }

    /// Kills what is late. What cannot even be killed within [`GRACE`] is not waited for.
    pub(super) fn kill_late_workers(&mut self, now: Instant) {
        let late: Vec<u32> = self.workers.iter().filter(|(_, w)| w.deadline() <= now).map(|(&id, _)| id).collect();
        for id in late {
            let Some(worker) = self.workers.get_mut(&id) else { continue };
            let stage = worker.stage.clone();
            if let Some(fault) = worker.given_up.take() {
                self.finish_worker(id, End::Lost { fault, stage });
                continue;
            }
            let text = format!("not done after {} ms in stage {stage}", worker.limit.as_millis());
            self.give_up(id, Fault::new(Layer::OciRuntime, stage, text).kind(Kind::DeadlineExceeded));
        }
    }

    /// Kills a worker. Its job is finished when it has been reaped: only then is what it has made all that it will make.
    fn give_up(&mut self, id: u32, fault: Fault) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.given_up = Some(fault);
        worker.limit = worker.started.elapsed() + GRACE;
        self.poller.remove(worker.pipe.as_fd());
        if let Some(worker) = self.workers.get(&id) {
            self.kill_worker(worker);
        }
    }

    /// Whether a worker was reaped. One that has not said how it ended is lost, and what it ran (hooks) with it.
    pub(super) fn worker_died(&mut self, pid: Pid, status: WaitStatus) -> bool {
        let Some((&id, worker)) = self.workers.iter_mut().find(|(_, worker)| worker.pid == pid) else { return false };
        // The number is the group's as long as anybody is in it, and the kernel gives numbers out in turn: it is nobody
        // else's yet. ESRCH: nobody is left.
        worker.kill().ok();
        let stage = worker.stage.clone();
        let fault = worker.given_up.take().unwrap_or_else(|| lost(&stage, status));
        self.finish_worker(id, End::Lost { fault, stage });
        true
    }

    fn kill_worker(&self, worker: &Worker) {
        worker.kill_descendants();
        // The worker may not have made its process group yet; its own pid is ours to signal until it is reaped.
        let outcome = worker.kill().or_else(|_| rustix::process::kill_process(worker.pid, Signal::KILL));
        if let Err(errno) = outcome {
            self.log.warn(&Fault::new(Layer::Shim, "worker", "cannot kill a worker").because(&errno));
        }
    }

    fn finish_worker(&mut self, id: u32, end: End) {
        let Some(worker) = self.workers.remove(&id) else { return };
        self.poller.remove(worker.pipe.as_fd());
        match worker.job {
            Job::Create { id, reply } => task::create::finish(self, &id, reply, end),
            Job::Start { id, reply } => task::start::finish(self, &id, reply, end.result()),
            Job::StartExec { key, reply } => task::start::finish_exec(self, &key, reply, end.result()),
            Job::Update { id, reply } => task::update::finish(self, &id, reply, end.result()),
            Job::Freeze { id, verb, reply } => task::freeze::finish(self, &id, verb, reply, end.result()),
            Job::KillAll { reply } => task::kill::finish(self, reply, end.result()),
            Job::Delete { id } => task::delete::finish(self, &id, end.result()),
            Job::Cleanup { id } => {
                if let Err(fault) = end.result() {
                    self.log.warn(&fault.in_container(&id));
                }
            }
            Job::StartSandbox { reply } => sandbox::start::finish(self, reply, end.result()),
            Job::StopSandbox { reply, shutdown } => sandbox::stop::finish(self, reply, shutdown, end.result()),
        }
        if self.workers.is_empty() {
            self.early.forget();
        }
    }
}

/// The end of the worker's reports, if it has come.
fn take_reports(worker: &mut Worker) -> Result<Option<End>, Fault> {
    while let Some(end) = worker.text.iter().position(|&byte| byte == b'\n') {
        let line: Vec<u8> = worker.text.drain(..=end).collect();
        match serde_json::from_slice(&line).map_err(|e| unreadable().because(&e))? {
            Report::Stage(stage) => worker.stage = stage,
            Report::Done(outcome) => return Ok(Some(End::Done(outcome))),
            Report::Failed(fault) => return Ok(Some(End::Failed(fault))),
        }
    }
    Ok(None)
}

fn unreadable() -> Fault {
    Fault::new(Layer::Shim, "worker", "the worker's report cannot be read")
}

fn lost(stage: &str, status: WaitStatus) -> Fault {
    let fault = |how: String| Fault::new(Layer::Shim, "worker", format!("the worker {how} in stage {stage}"));
    match status.terminating_signal() {
        Some(signal) if signal == Signal::KILL.as_raw() => {
            fault("was killed".to_owned()).hint("the kernel's log tells whether memory ran out")
        }
        Some(signal) => fault(format!("died of signal {signal}")),
        None => fault(format!("ended with code {} and no word", status.exit_status().unwrap_or(-1))),
    }
}
