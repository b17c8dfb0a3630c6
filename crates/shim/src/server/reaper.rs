//! Children that ended: every process of the pod becomes a child of the shim sooner or later (it is their subreaper), and
//! those that it knows get their exit recorded before anybody is told.

use super::Server;
use super::poller::Token;
use crate::io;
use crate::oom::{self, OomWatch};
use crate::task::{ExitRecord, Key};
use plimsoll_fault::{Fault, Layer};
use rustix::event::epoll::EventFlags;
use rustix::process::{Pid, WaitOptions, WaitStatus};
use std::time::{Duration, Instant, SystemTime};

impl Server {
    pub(super) fn reap(&mut self) {
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            let at = SystemTime::now();
            if self.claim(pid, code(status), at) {
                continue;
            }
            // A worker may have reported, and ended, since the reports were last read: its child is known only now.
            self.read_all_workers();
            // What is still unknown is a worker, an orphan of a container, or what a worker will tell of.
            if !self.claim(pid, code(status), at) && !self.worker_died(pid, status) && !self.workers.is_empty() {
                self.early.keep(pid, code(status), at);
            }
        }
    }

    /// Whether the child is one that the shim answers for; then its end is recorded.
    fn claim(&mut self, pid: Pid, code: u32, at: SystemTime) -> bool {
        if let Some(key) = self.owner(pid) {
            self.ended(&key, code, at);
            return true;
        }
        if let Some(logger) = self.logger(pid) {
            *logger = None;
            self.finish_deletes();
            return true;
        }
        let init = self.sandbox.as_ref().is_some_and(|sandbox| sandbox.init == Some(pid));
        if init {
            crate::sandbox::init_ended(self, code);
        }
        init
    }

    fn logger(&mut self, pid: Pid) -> Option<&mut Option<Pid>> {
        let tasks = self.tasks.values_mut();
        let processes = tasks.flat_map(|task| std::iter::once(&mut task.init).chain(task.execs.values_mut()));
        processes.map(|process| &mut process.logger).find(|logger| **logger == Some(pid))
    }

    fn owner(&self, pid: Pid) -> Option<Key> {
        for (id, task) in &self.tasks {
            if task.init.is(pid) {
                return Some(Key::init(id));
            }
            if let Some((exec_id, _)) = task.execs.iter().find(|(_, process)| process.is(pid)) {
                return Some(Key { id: id.clone(), exec_id: exec_id.clone() });
            }
        }
        None
    }

    /// Records the end of a process: first its output, then the record, then everybody who waits.
    pub(crate) fn ended(&mut self, key: &Key, code: u32, at: SystemTime) {
        let Ok(process) = self.process(key) else { return };
        if process.starting {
            // Told after the answer to Start, so that no exit is seen of what has not been started.
            process.held_exit = Some((code, at));
            return;
        }
        let outputs = process.outputs.clone();
        let inputs = std::mem::take(&mut process.inputs);
        process.io.stdin_keeper = None;
        inputs.into_iter().for_each(|id| self.drop_stream(id));
        self.drain(&outputs);
        self.record_exit(key, code, at);
        self.tell_exit(key);
        self.finish_deletes();
    }

    fn record_exit(&mut self, key: &Key, code: u32, at: SystemTime) {
        let Some(task) = self.tasks.get_mut(&key.id) else { return };
        let oom_killed = task.cgroup.as_ref().is_some_and(|cgroup| oom::kills(cgroup) > 0);
        let process = if key.exec_id.is_empty() { Some(&mut task.init) } else { task.execs.get_mut(&key.exec_id) };
        let Some(process) = process else { return };
        let record = ExitRecord { code, at, oom_killed };
        process.exit = Some(record);
        if !key.exec_id.is_empty() {
            return;
        }
        if let Err(error) = crate::durable::write_exit(&task.runtime.bundle, process, &record) {
            let fault = Fault::new(Layer::Shim, "exit", "cannot keep the exit in the bundle").because(&error);
            self.log.warn(&fault.in_container(&key.id));
        }
        if task.shares_pids {
            crate::task::kill::kill_rest(self, &key.id);
        }
    }

    fn tell_exit(&mut self, key: &Key) {
        let Ok(process) = self.process(key) else { return };
        let waiters = std::mem::take(&mut process.waiters);
        let Some(answer) = process.wait_response() else { return };
        self.events.exit(key, &answer);
        for reply in waiters {
            self.answer(reply, Ok(prost::Message::encode_to_vec(&answer.wait)));
        }
    }

    /// Completes the deletes whose process has ended and whose output has been written, or has had its time.
    pub(crate) fn finish_deletes(&mut self) {
        self.finish_late_deletes(Instant::now());
    }

    pub(super) fn finish_late_deletes(&mut self, now: Instant) {
        for key in self.deleting() {
            let Ok(process) = self.process(&key) else { continue };
            let late = process.drain_until.is_some_and(|until| until <= now);
            let outputs = process.outputs.clone();
            let ended = process.exit.is_some() || process.pid.is_none();
            if late && !ended {
                // Killed but not gone yet (a process in an uninterruptible sleep): look again, do not spin.
                self.process(&key).into_iter().for_each(|p| p.drain_until = Some(now + Duration::from_secs(1)));
                continue;
            }
            let logger = process.logger.filter(|pid| io::is_child(*pid));
            if let (true, true, Some(pid)) = (ended, late, logger) {
                // It has had its time, as containerd gives it; ESRCH: it has ended now.
                rustix::process::kill_process(pid, rustix::process::Signal::KILL).ok();
            }
            if ended && (late || (logger.is_none() && !outputs.iter().any(|&id| self.has_stream(id)))) {
                outputs.into_iter().for_each(|id| self.drop_stream(id));
                crate::task::delete::complete(self, &key);
            }
        }
    }

    fn deleting(&self) -> Vec<Key> {
        let mut keys = Vec::new();
        for (id, task) in &self.tasks {
            let execs = task.execs.iter().map(|(exec_id, p)| (Key { id: id.clone(), exec_id: exec_id.clone() }, p));
            let all = std::iter::once((Key::init(id), &task.init)).chain(execs);
            keys.extend(all.filter(|(_, p)| p.drain_until.is_some()).map(|(key, _)| key));
        }
        keys
    }

    /// The kernel says that a container ran out of memory.
    pub(super) fn out_of_memory(&mut self, watch: u32) {
        let task = self.tasks.iter_mut().find(|(_, t)| t.oom_watch.as_ref().is_some_and(|w| w.id == watch));
        let Some((id, task)) = task else { return };
        let Some(oom) = &mut task.oom_watch else { return };
        // Both kinds of watch also fire without a kill, and when the cgroup goes away.
        if oom.killed_since_last(task.cgroup.as_ref()) {
            let id = id.clone();
            self.events.out_of_memory(&id);
        }
    }

    /// From now on an out-of-memory kill in the container's cgroup is told at once. Without the watch it is still
    /// recorded with the exit.
    pub(crate) fn watch_memory(&mut self, id: &str) {
        let watch = self.new_id();
        let Some(task) = self.tasks.get_mut(id) else { return };
        let Some(cgroup) = &task.cgroup else { return };
        let watched = OomWatch::new(cgroup, watch).and_then(|oom| {
            let flags = if oom.by_priority() { EventFlags::PRI } else { EventFlags::IN };
            self.poller.add(oom.fd(), Token::OutOfMemory(watch), flags)?;
            Ok(oom)
        });
        match watched {
            Ok(oom) => task.oom_watch = Some(oom),
            Err(error) => {
                let fault = Fault::new(Layer::Shim, "create", "cannot watch the container's memory").because(&error);
                self.log.warn(&fault.in_container(id));
            }
        }
    }

    pub(crate) fn stop_memory_watch(&mut self, id: &str) {
        if let Some(oom) = self.tasks.get_mut(id).and_then(|task| task.oom_watch.take()) {
            self.poller.remove(oom.fd());
        }
    }
}

/// 128 + signal, as shells and runc say it.
fn code(status: WaitStatus) -> u32 {
    let signal = status.terminating_signal().map(|signal| 128 + signal);
    let code = status.exit_status().or(signal).unwrap_or(255);
    u32::try_from(code).unwrap_or(255)
}
