//! FIFOs and terminals: standard input and its end, slow readers, window size.

use crate::harness::{Pod, cri_log};
use plimsoll_core::shim::Stdio;
use plimsoll_testkit::wait::LIMIT;
use rustix::fs::{CWD, FileType, Mode, OFlags};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

fn fifo(path: PathBuf) -> PathBuf {
    rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("mkfifo");
    path
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// A client's end for reading that is there before anybody writes.
fn reader(path: &Path) -> File {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(flags).open(path).expect("open the fifo")
}

/// Everything up to the end of the FIFO.
fn read_all(mut file: File) -> String {
    let (mut all, mut chunk, until) = (Vec::new(), [0; 65536], Instant::now() + LIMIT);
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return String::from_utf8(all).expect("text"),
            Ok(count) => all.extend_from_slice(&chunk[..count]),
            Err(_) => {
                assert!(Instant::now() < until, "no end after {} bytes", all.len());
                std::thread::sleep(Duration::from_millis(2));
            }
        }
    }
}

#[tokio::test]
async fn standard_input_reaches_the_process_and_ends_when_it_is_closed() {
    let pod = Pod::new().await;
    let (input, output) = (fifo(pod.scratch.join("in")), fifo(pod.scratch.join("out")));
    let stdio = Stdio { stdin: text(&input), stdout: text(&output), ..Stdio::default() };
    let mut out = reader(&output);
    pod.launch("c", "cat; echo end", &stdio).await;
    // A client that comes and goes does not end standard input.
    for part in ["one\n", "two\n"] {
        let mut client = OpenOptions::new().write(true).open(&input).expect("open");
        client.write_all(part.as_bytes()).expect("write");
    }
    let mut seen = String::new();
    let end = Instant::now() + LIMIT;
    while seen != "one\ntwo\n" {
        let mut some = [0; 64];
        match out.read(&mut some) {
            Ok(count) => seen.push_str(std::str::from_utf8(&some[..count]).expect("text")),
            Err(_) => tokio::time::sleep(Duration::from_millis(2)).await,
        }
        assert!(Instant::now() < end, "only {seen:?}");
    }
    assert!(pod.shim.exit("c", "").await.expect("exit").is_none());
    pod.shim.close_stdin("c", "").await.expect("close");
    assert_eq!(pod.wait("c", "").await.code, 0);
    pod.shim.delete("c", "").await.expect("delete");
    assert_eq!(read_all(out), "end\n");
    pod.end().await;
}

#[tokio::test]
async fn a_reader_that_stops_reading_holds_its_own_stream_only() {
    let pod = Pod::new().await;
    let output = fifo(pod.scratch.join("out"));
    let mut stdio = cri_log(&pod.scratch.join("err.log"));
    stdio.stdout = text(&output);
    let mut out = reader(&output);
    pod.launch("c", "yes & for i in 1 2 3; do echo $i >&2; sleep 0.05; done; exit 4", &stdio).await;
    let began = Instant::now();
    assert_eq!(pod.wait("c", "").await.code, 4);
    pod.shim.delete("c", "").await.expect("delete");
    assert!(began.elapsed() < LIMIT / 2, "{:?}", began.elapsed());
    let log = std::fs::read_to_string(pod.scratch.join("err.log")).expect("log");
    assert_eq!(log.lines().count(), 3, "{log}");
    let mut some = [0; 4];
    out.read_exact(&mut some).expect("what was written stays readable");
    assert_eq!(&some, b"y\ny\n");
    pod.end().await;
}

#[tokio::test]
async fn a_terminal_has_a_size_and_echoes() {
    let pod = Pod::new().await;
    let (input, output) = (fifo(pod.scratch.join("in")), fifo(pod.scratch.join("out")));
    let stdio = Stdio { stdin: text(&input), stdout: text(&output), terminal: true, ..Stdio::default() };
    let out = reader(&output);
    let mut bundle = pod.script("read line; stty size; echo got $line; tty");
    bundle.set("/process/terminal", serde_json::json!(true));
    pod.create("c", &bundle, &stdio).await;
    pod.shim.resize_pty("c", "", 132, 43).await.expect("resize");
    pod.shim.start("c", "").await.expect("start");
    let mut client = OpenOptions::new().write(true).open(&input).expect("open");
    client.write_all(b"typed\n").expect("write");
    assert_eq!(pod.wait("c", "").await.code, 0);
    pod.shim.delete("c", "").await.expect("delete");
    let seen = read_all(out);
    assert!(seen.contains("typed\r\n43 132\r\ngot typed\r\n/dev/"), "{seen:?}");
    pod.end().await;
}

#[tokio::test]
async fn stdio_that_cannot_be_opened_fails_the_create_by_name() {
    let pod = Pod::new().await;
    let bundle = pod.script("true");
    for (uri, part) in [
        ("/no/such/fifo", "/no/such/fifo"),
        ("binary:///no/such/x", "/no/such/x"),
        ("ftp:///x", "ftp"),
        ("relative", "relative"),
    ] {
        let stdio = Stdio { stdout: uri.to_owned(), ..Stdio::default() };
        let fault = pod.try_create("c", &bundle, &stdio).await.expect_err(uri);
        assert!(fault.to_string().contains(part), "{fault}");
    }
    pod.end().await;
}

/// A `binary://` logger that writes to files in `folder` who it is and what it reads, and ends as `last` says.
fn logger(pod: &Pod, last: &str) -> (PathBuf, String) {
    let folder = pod.scratch.dir("logged");
    let at = folder.display();
    let script = format!(
        "echo \"$CONTAINER_ID $CONTAINER_NAMESPACE $*\" > {at}/who\ncat <&3 > {at}/out 5>&- &\ncat <&4 > {at}/err 5>&- &\n{last}"
    );
    let program = pod.scratch.script("logger", &script);
    (folder, format!("binary://{}?--to=a%20b&flag", program.display()))
}

#[tokio::test]
async fn a_logger_reads_what_the_process_writes() {
    let pod = Pod::new().await;
    let (folder, uri) = logger(&pod, "exec 5>&-\nwait");
    let stdio = Stdio { stdout: uri.clone(), stderr: uri, ..Stdio::default() };
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect(name);
    // It is ready before the program runs, and has read everything when the container is deleted.
    let bundle = pod.script("i=0; while [ $i -lt 1000 ]; do echo out$i; echo err$i >&2; i=$((i+1)); done");
    pod.create("c", &bundle, &stdio).await;
    assert_eq!(read("who"), "c test --to a b flag\n");
    pod.shim.start("c", "").await.expect("start");
    assert_eq!(pod.wait("c", "").await.code, 0);
    pod.shim.delete("c", "").await.expect("delete");
    let lines = |word: &str| (0..1000).map(|i| format!("{word}{i}\n")).collect::<String>();
    assert_eq!((read("out"), read("err")), (lines("out"), lines("err")));
    // An exec has one of its own, and so has a terminal.
    pod.launch("d", "sleep 1000", &Stdio::default()).await;
    assert_eq!(pod.exec("d", "e", "echo exec", &stdio).await.code, 0);
    assert_eq!(read("out"), "exec\n");
    let terminal = Stdio { terminal: true, ..stdio.clone() };
    assert_eq!(pod.exec("d", "t", "tty", &terminal).await.code, 0);
    assert_eq!(read("out"), "/dev/pts/0\r\n");
    pod.shim.kill("d", "", 9, false).await.expect("kill");
    pod.wait("d", "").await;
    pod.shim.delete("d", "").await.expect("delete");
    pod.end().await;
}

#[tokio::test]
async fn a_logger_that_cannot_log_fails_the_create_and_one_that_hangs_is_ended() {
    let pod = Pod::new().await;
    let bundle = pod.script("echo x; exit 3");
    let with = |uri: &str| Stdio { stdout: uri.to_owned(), stderr: uri.to_owned(), ..Stdio::default() };
    let (_, dying) = logger(&pod, "kill $!; exit 1");
    for (uri, says) in [("binary:///no/such/logger", "cannot run the logger /no/such/logger"), (&dying, "no more of")] {
        let fault = pod.try_create("c", &bundle, &with(uri)).await.expect_err(uri);
        assert!(fault.to_string().contains(says), "{uri}: {}", fault.to_json());
    }
    let (_, hanging) = logger(&pod, "exec 5>&-\nexec sleep 1000");
    pod.create("c", &bundle, &with(&hanging)).await;
    pod.shim.start("c", "").await.expect("start");
    assert_eq!(pod.wait("c", "").await.code, 3);
    let began = Instant::now();
    pod.shim.delete("c", "").await.expect("delete");
    assert!(began.elapsed() >= Duration::from_secs(2), "it had its time");
    pod.end().await;
}

#[tokio::test]
async fn a_json_file_has_dockers_lines() {
    let pod = Pod::new().await;
    let path = pod.scratch.join("c.json");
    let uri = format!("json-file://{}", path.display());
    let stdio = Stdio { stdout: uri.clone(), stderr: uri, ..Stdio::default() };
    assert_eq!(pod.run("c", "echo '\"quoted\"'; echo err >&2; printf rest", &stdio).await.code, 0);
    let text = std::fs::read_to_string(&path).expect("log");
    let mut seen: Vec<(String, String)> = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"))
        .map(|line| {
            (line["stream"].as_str().expect("stream").to_owned(), line["log"].as_str().expect("log").to_owned())
        })
        .collect();
    seen.sort();
    let line = |stream: &str, log: &str| (stream.to_owned(), log.to_owned());
    assert_eq!(seen, [line("stderr", "err\n"), line("stdout", "\"quoted\"\n"), line("stdout", "rest")]);
    pod.end().await;
}
