//! Workers in the loop: their reports, their deadlines, and the hand-over of what they did to the verb that asked.

use super::Server;
use super::poller::Token;
use crate::worker::{self, Job, Outcome, Report, Reporter, Worker};
use crate::{sandbox, task};
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_runtime::Stdio;
use plimsoll_sys::SingleThread;
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// The part of a caller's own deadline that a worker gets, so that our fault, which names the stage, arrives in time.
const SHARE: f64 = 0.9;

impl Server {
    /// Forks a worker for `job`. `limit` is cut to what the caller waits.
    pub(crate) fn start_worker(
        &mut self,
        job: Job,
        limit: Duration,
        stdio: Stdio,
        work: impl FnOnce(&SingleThread, &mut Reporter, Stdio) -> Result<Outcome, Fault>,
    ) -> Result<(), Fault> {
        let caller = job.reply().and_then(|reply| reply.timeout);
        let limit = caller.map_or(limit, |timeout| limit.min(timeout.mul_f64(SHARE)));
        let (pid, pipe) = worker::spawn(&self.token, stdio, work)?;
        let id = self.new_id();
        let watched = self.poller.add(pipe.as_fd(), Token::Worker(id), EventFlags::IN);
        let worker =
            Worker { pid, pipe, text: Vec::new(), stage: "begin".to_owned(), started: Instant::now(), limit, job };
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

    pub(super) fn read_all_workers(&mut self) {
        let ids: Vec<u32> = self.workers.keys().copied().collect();
        for id in ids {
            self.read_worker(id);
        }
    }

    /// Reads what a worker has reported; when it has ended, its job is finished.
    pub(super) fn read_worker(&mut self, id: u32) {
        loop {
            let Some(worker) = self.workers.get_mut(&id) else { return };
            match rustix::io::read(&worker.pipe, &mut *self.scratch) {
                Ok(0) => {
                    let fault = Fault::new(Layer::Shim, "worker", format!("the worker died in stage {}", worker.stage));
                    return self.finish_worker(id, Err(fault));
                }
                Ok(count) if worker.text.len() + count <= worker::REPORT_LIMIT => {
                    worker.text.extend_from_slice(&self.scratch[..count]);
                }
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => continue,
                Ok(_) | Err(_) => {
                    let fault = Fault::new(Layer::Shim, "worker", "the worker's report cannot be read");
                    return self.finish_worker(id, Err(fault));
                }
            }
            if let Some(result) = take_reports(worker) {
                return self.finish_worker(id, result);
            }
        }
    }

    pub(super) fn kill_late_workers(&mut self, now: Instant) {
        let late: Vec<u32> = self.workers.iter().filter(|(_, w)| w.deadline() <= now).map(|(&id, _)| id).collect();
        for id in late {
            let Some(worker) = self.workers.get(&id) else { continue };
            let text = format!("not done after {} ms in stage {}", worker.limit.as_millis(), worker.stage);
            let fault = Fault::new(Layer::OciRuntime, worker.stage.clone(), text).kind(Kind::DeadlineExceeded);
            self.kill_worker(worker);
            self.finish_worker(id, Err(fault));
        }
    }

    fn kill_worker(&self, worker: &Worker) {
        // The worker may not have made its process group yet; its own pid is ours to signal until it is reaped.
        let outcome =
            worker.kill().or_else(|_| rustix::process::kill_process(worker.pid, rustix::process::Signal::KILL));
        if let Err(errno) = outcome {
            self.log.warn(&Fault::new(Layer::Shim, "worker", "cannot kill a worker").because(&errno));
        }
    }

    fn finish_worker(&mut self, id: u32, result: Result<Outcome, Fault>) {
        let Some(worker) = self.workers.remove(&id) else { return };
        self.poller.remove(worker.pipe.as_fd());
        match worker.job {
            Job::Create { id, reply } => task::create::finish(self, &id, reply, result),
            Job::Start { id, reply } => task::start::finish(self, &id, reply, result),
            Job::StartExec { key, reply } => task::start::finish_exec(self, &key, reply, result),
            Job::Pause { id, reply } => task::pause::finish(self, &id, reply, result),
            Job::Resume { id, reply } => task::resume::finish(self, &id, reply, result),
            Job::KillAll { reply } => task::kill::finish(self, reply, result),
            Job::Delete { id } => task::delete::finish(self, &id, result),
            Job::Cleanup { id } => {
                if let Err(fault) = result {
                    self.log.warn(&fault.in_container(&id));
                }
            }
            Job::StartSandbox { reply } => sandbox::start::finish(self, reply, result),
            Job::StopSandbox { reply, shutdown } => sandbox::stop::finish(self, reply, shutdown, result),
        }
    }
}

/// The end of the worker's reports, if it has come.
fn take_reports(worker: &mut Worker) -> Option<Result<Outcome, Fault>> {
    while let Some(end) = worker.text.iter().position(|&byte| byte == b'\n') {
        let line: Vec<u8> = worker.text.drain(..=end).collect();
        match serde_json::from_slice(&line) {
            Ok(Report::Stage(stage)) => worker.stage = stage,
            Ok(Report::Done(outcome)) => return Some(Ok(outcome)),
            Ok(Report::Failed(fault)) => return Some(Err(fault)),
            Err(e) => {
                let fault = Fault::new(Layer::Shim, "worker", "the worker's report cannot be read").because(&e);
                return Some(Err(fault));
            }
        }
    }
    None
}
