//! CRI logs: both streams, partial lines, rotation under load, nothing lost.

use crate::harness::{Pod, cri_log, until};
use std::path::Path;
use std::time::Duration;

/// (stream, tag, content) of each line.
fn lines(path: &Path) -> Vec<(String, String, String)> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    assert!(text.is_empty() || text.ends_with('\n'), "a torn line");
    let split = |line: &str| {
        let mut words = line.splitn(4, ' ').map(str::to_owned);
        let stamp = words.next().expect("stamp");
        assert!(stamp.len() == 30 && stamp.ends_with('Z'), "{line:?}");
        (words.next().expect("stream"), words.next().expect("tag"), words.next().expect("content"))
    };
    text.lines().map(split).collect()
}

#[tokio::test]
async fn both_streams_and_partial_lines() {
    let pod = Pod::new().await;
    let log = pod.scratch.join("0.log");
    let script = "echo out; echo err >&2; head -c 40000 /dev/zero | tr '\\0' x; echo; printf tail";
    assert_eq!(pod.run("c", script, &cri_log(&log)).await.code, 0);
    let seen = lines(&log);
    let of = |stream: &str| -> Vec<(String, usize)> {
        seen.iter().filter(|l| l.0 == stream).map(|l| (l.1.clone(), l.2.len())).collect()
    };
    let line = |tag: &str, length| (tag.to_owned(), length);
    assert_eq!(of("stderr"), [line("F", 3)]);
    let long = [line("F", 3), line("P", 16384), line("P", 16384), line("F", 7232), line("P", 4)];
    assert_eq!(of("stdout"), long);
    pod.end().await;
}

#[tokio::test]
async fn rotation_under_load_loses_and_repeats_nothing() {
    const LINES: usize = 60_000;
    let pod = Pod::new().await;
    let log = pod.scratch.join("0.log");
    let script = format!("seq 1 {LINES} & seq 1 {LINES} >&2; wait");
    pod.launch("c", &script, &cri_log(&log)).await;
    let (shim, mut rotated) = (pod.shim.clone(), Vec::new());
    let ended = tokio::spawn(async move { shim.wait("c", "").await });
    while !ended.is_finished() {
        let name = pod.scratch.join(format!("0.log.{}", rotated.len()));
        std::fs::rename(&log, &name).expect("rotate");
        rotated.push(name);
        pod.shim.reopen_log("c").await.expect("reopen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(ended.await.expect("task").expect("wait").code, 0);
    pod.shim.delete("c", "").await.expect("delete");
    rotated.push(log);
    for stream in ["stdout", "stderr"] {
        let all = rotated.iter().flat_map(|path| lines(path));
        let numbers: Vec<usize> =
            all.filter(|line| line.0 == stream).map(|line| line.2.parse().expect("a number")).collect();
        assert!(numbers.iter().copied().eq(1..=LINES), "{stream}: {} lines", numbers.len());
    }
    pod.end().await;
}

#[tokio::test]
async fn a_full_disk_holds_the_container_and_loses_nothing() {
    const LINES: usize = 30_000;
    let pod = Pod::new().await;
    let disk = pod.scratch.dir("disk");
    let mount = |args: &[&str]| {
        let status = std::process::Command::new(args[0]).args(&args[1..]).arg(&disk).status().expect(args[0]);
        assert!(status.success());
    };
    mount(&["mount", "-t", "tmpfs", "-o", "size=256k", "none"]);
    let log = disk.join("0.log");
    pod.launch("c", &format!("seq 1 {LINES}"), &cri_log(&log)).await;
    until("that the disk is full", || std::fs::metadata(&log).is_ok_and(|log| log.len() > 200_000)).await;
    assert!(pod.shim.exit("c", "").await.expect("exit").is_none(), "it must be held by its full pipe");
    mount(&["mount", "-o", "remount,size=16m"]);
    assert_eq!(pod.wait("c", "").await.code, 0);
    pod.shim.delete("c", "").await.expect("delete");
    let seen: Vec<usize> = lines(&log).into_iter().map(|line| line.2.parse().expect("a number")).collect();
    assert!(seen.iter().copied().eq(1..=LINES), "{} lines", seen.len());
    mount(&["umount"]);
    pod.end().await;
}

#[tokio::test]
async fn on_a_full_disk_the_log_can_be_rotated_and_no_line_is_lost_or_torn() {
    const LINES: usize = 30_000;
    let pod = Pod::new().await;
    let disk = pod.scratch.dir("disk");
    let mount = |args: &[&str]| {
        let status = std::process::Command::new(args[0]).args(&args[1..]).arg(&disk).status().expect(args[0]);
        assert!(status.success());
    };
    mount(&["mount", "-t", "tmpfs", "-o", "size=256k", "none"]);
    let (log, old, kept) = (disk.join("0.log"), disk.join("0.log.old"), pod.scratch.join("kept.log"));
    pod.launch("c", &format!("seq 1 {LINES}"), &cri_log(&log)).await;
    until("that the disk is full", || std::fs::metadata(&log).is_ok_and(|log| log.len() > 200_000)).await;
    std::fs::rename(&log, &old).expect("rotate");
    pod.shim.reopen_log("c").await.unwrap_or_else(|fault| panic!("{}", fault.to_json()));
    // As a rotation that compresses does: the old file is read once and removed.
    std::fs::copy(&old, &kept).expect("copy");
    std::fs::remove_file(&old).expect("remove");
    mount(&["mount", "-o", "remount,size=16m"]);
    assert_eq!(pod.wait("c", "").await.code, 0);
    pod.shim.delete("c", "").await.expect("delete");
    let all = [kept, log].into_iter().flat_map(|path| lines(&path));
    let seen: Vec<usize> = all.map(|line| line.2.parse().expect("a number")).collect();
    assert!(seen.iter().copied().eq(1..=LINES), "{} lines", seen.len());
    mount(&["umount"]);
    pod.end().await;
}
