//! The stack as a drawing: a row a layer, with a mark on the one that owns a failure.

use super::plain;
use plimsoll_fault::{Fault, Layer};

/// The way from an image's name to a running process.
const STACK: [Layer; 8] = [
    Layer::Registry,
    Layer::Image,
    Layer::Store,
    Layer::Spec,
    Layer::Network,
    Layer::Shim,
    Layer::OciRuntime,
    Layer::Kernel,
];

fn owns(layer: &Layer) -> &'static str {
    match layer {
        Layer::Registry => "what the remote registry answered",
        Layer::Image => "the image's content",
        Layer::Store => "content and snapshots on this node's disk",
        Layer::Spec => "assembly of config.json",
        Layer::Network => "network namespaces and CNI",
        Layer::Shim => "the shim and the line to it",
        Layer::OciRuntime => "namespaces, cgroups, mounts, exec",
        Layer::Kernel => "what the kernel does or lacks",
        Layer::Daemon => "the node daemon itself",
        Layer::Caller => "the request",
        Layer::Other(_) => "a layer that this plim does not know",
    }
}

/// The drawing for `fault`, or for a subject without one.
pub(crate) fn draw(fault: Option<&Fault>) -> String {
    let Some(fault) = fault else {
        return STACK.iter().map(|layer| row(" ", layer, "no failure known")).collect::<Vec<_>>().join("\n");
    };
    let mut lines = Vec::new();
    let at = STACK.iter().position(|layer| layer == fault.layer());
    if at.is_none() {
        // Not on the way down: the request before it, or the daemon beside it.
        lines.extend(marked(fault));
    }
    for (index, layer) in STACK.iter().enumerate() {
        match at {
            Some(failed) if index == failed => lines.extend(marked(fault)),
            Some(failed) if index > failed => lines.push(row(" ", layer, "not reached or not at fault")),
            _ => lines.push(row(" ", layer, owns(layer))),
        }
    }
    lines.join("\n")
}

fn row(mark: &str, layer: &Layer, text: &str) -> String {
    format!("{mark} {:<12} {text}", layer.name()).trim_end().to_owned()
}

fn marked(fault: &Fault) -> Vec<String> {
    let mut lines = vec![row(">", fault.layer(), &format!("FAILED while: {}", fault.phase()))];
    let mut more = |name: &str, text: &str| lines.push(format!("               {name:<8} {}", plain(text)));
    more("what", fault.what());
    for cause in fault.causes() {
        more("because", cause);
    }
    for (name, text) in details(fault) {
        more(name, &text);
    }
    if let Some(hint) = fault.advice() {
        more("hint", hint);
    }
    lines
}

fn details(fault: &Fault) -> Vec<(&'static str, String)> {
    let d = fault.details();
    let syscall = d.syscall.as_ref().map(|call| match d.errno {
        Some(errno) => format!("{call}: {}", std::io::Error::from_raw_os_error(errno)),
        None => call.clone(),
    });
    let host = d.host.as_ref().map(|host| match d.http_status {
        Some(status) => format!("{host} answered {status}"),
        None => host.clone(),
    });
    let all = [
        ("syscall", syscall),
        ("path", d.path.clone()),
        ("host", host),
        ("field", d.pointer.clone()),
        ("origin", d.origin.clone()),
    ];
    all.into_iter().filter_map(|(name, text)| Some((name, text?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owning_row_is_marked_and_those_below_are_not() {
        let fault =
            Fault::new(Layer::Store, "unpack", "disk full").why("ENOSPC").syscall("write", "/x", 28).hint("free some");
        let text = draw(Some(&fault));
        assert_eq!(text.matches("FAILED").count(), 1);
        assert!(text.contains("> store        FAILED while: unpack"), "{text}");
        assert!(text.contains("write: No space left on device (os error 28)"), "{text}");
        assert!(text.contains("  kernel       not reached"), "{text}");
    }

    #[test]
    fn a_layer_beside_the_way_comes_first() {
        let text = draw(Some(&Fault::invalid("read", "bad name")));
        assert!(text.starts_with("> caller       FAILED"), "{text}");
        assert_eq!(text.lines().filter(|line| !line.starts_with("     ")).count(), 9);
    }
}
