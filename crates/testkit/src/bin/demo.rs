//! `./dev demo`: one pod through every layer, with the other side's real software, and nothing left behind.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that shows something")]

fn main() {
    std::panic::set_hook(Box::new(|info| {
        let payload = info.payload();
        let text =
            payload.downcast_ref::<String>().map(String::as_str).or_else(|| payload.downcast_ref::<&str>().copied());
        eprintln!("\ndemo: {}", text.unwrap_or("failed"));
    }));
    match std::panic::catch_unwind(plimsoll_testkit::demo::run) {
        Ok(left) if left.is_empty() => {}
        Ok(left) => {
            eprintln!("demo: LEFT BEHIND:\n  {}", left.join("\n  "));
            std::process::exit(1);
        }
        Err(_) => std::process::exit(1),
    }
}
