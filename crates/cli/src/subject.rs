//! What a person means by a word: a container or a pod, by name, id or the beginning of an id.

use crate::client::Client;
use crate::output::short_id;
use plimsoll_fault::{Fault, Kind, Layer, Result};
use plimsoll_proto::cri::{Container, ContainerState, PodSandbox, PodSandboxState};

/// Label of the pods that `plim run` made: they live and die with their one container.
pub(crate) const OWN_LABEL: &str = "plimsoll.dev/made-by";
pub(crate) const OWN_VALUE: &str = "plim";

pub(crate) enum Subject {
    Container(Container),
    Pod(PodSandbox),
}

/// A container, else a pod.
pub(crate) async fn find(client: &Client, word: &str) -> Result<Subject> {
    if let Some(container) = pick(word, client.containers(None).await?)? {
        return Ok(Subject::Container(container));
    }
    match pick(word, client.pods(None).await?)? {
        Some(pod) => Ok(Subject::Pod(pod)),
        None => Err(unknown("container or pod", word)),
    }
}

pub(crate) async fn container(client: &Client, word: &str) -> Result<Container> {
    pick(word, client.containers(None).await?)?.ok_or_else(|| unknown("container", word))
}

/// The pod of a container, if `plim run` made it.
pub(crate) async fn own_pod(client: &Client, container: &Container) -> Result<Option<PodSandbox>> {
    let filter = plimsoll_proto::cri::PodSandboxFilter { id: container.pod_sandbox_id.clone(), ..Default::default() };
    let pods = client.pods(Some(filter)).await?;
    Ok(pods.into_iter().find(|pod| pod.labels.get(OWN_LABEL).is_some_and(|value| value == OWN_VALUE)))
}

pub(crate) fn unknown(what: &str, word: &str) -> Fault {
    Fault::invalid("look up", format!("no {what} is called {word:?} or has an id that begins so")).kind(Kind::NotFound)
}

/// What both kinds have.
trait Named {
    fn id(&self) -> &str;
    fn name(&self) -> &str;
    fn lives(&self) -> bool;
}

impl Named for Container {
    fn id(&self) -> &str {
        &self.id
    }
    fn name(&self) -> &str {
        self.metadata.as_ref().map_or("", |metadata| &metadata.name)
    }
    fn lives(&self) -> bool {
        self.state() == ContainerState::ContainerRunning
    }
}

impl Named for PodSandbox {
    fn id(&self) -> &str {
        &self.id
    }
    fn name(&self) -> &str {
        self.metadata.as_ref().map_or("", |metadata| &metadata.name)
    }
    fn lives(&self) -> bool {
        self.state() == PodSandboxState::SandboxReady
    }
}

/// Whole id, then name (of several with one name the one that runs), then the beginning of an id.
fn pick<T: Named>(word: &str, mut items: Vec<T>) -> Result<Option<T>> {
    if let Some(index) = items.iter().position(|item| item.id() == word) {
        return Ok(Some(items.swap_remove(index)));
    }
    let (mut named, rest): (Vec<T>, Vec<T>) = items.into_iter().partition(|item| item.name() == word);
    if named.iter().filter(|item| item.lives()).count() == 1 {
        named.retain(Named::lives);
    }
    if named.is_empty() && !word.is_empty() {
        named = rest.into_iter().filter(|item| item.id().starts_with(word)).collect();
    }
    match named.len() {
        0 | 1 => Ok(named.pop()),
        count => Err(ambiguous(word, count, &named)),
    }
}

fn ambiguous<T: Named>(word: &str, count: usize, items: &[T]) -> Fault {
    let few: Vec<String> = items.iter().take(5).map(|item| short_id(item.id())).collect();
    let more = if count > 5 { ", …" } else { "" };
    Fault::new(Layer::Caller, "look up", format!("{word:?} could be any of {count}: {}{more}", few.join(", ")))
        .kind(Kind::InvalidArgument)
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_proto::cri::ContainerMetadata;

    fn made(id: &str, name: &str, state: ContainerState) -> Container {
        let metadata = Some(ContainerMetadata { name: name.into(), attempt: 0 });
        Container { id: id.into(), metadata, state: state.into(), ..Default::default() }
    }

    #[test]
    fn id_then_name_then_prefix() {
        use ContainerState::{ContainerExited as Exited, ContainerRunning as Running};
        let all = || vec![made("abc1", "web", Exited), made("abc2", "web", Running), made("web", "x", Exited)];
        let id = |word| pick(word, all()).expect(word).map(|c| c.id);
        assert_eq!(id("web").as_deref(), Some("web"));
        assert_eq!(id("x").as_deref(), Some("web"));
        assert_eq!(id("abc1").as_deref(), Some("abc1"));
        assert_eq!(id("zzz"), None);
        assert_eq!(id(""), None);
        let fault = pick("abc", all()).map(|c| c.map(|c| c.id)).expect_err("two");
        assert!(fault.to_string().contains("abc1, abc2"), "{fault}");
    }

    #[test]
    fn of_two_with_one_name_the_living_one_is_meant() {
        let all =
            vec![made("a", "web", ContainerState::ContainerExited), made("b", "web", ContainerState::ContainerRunning)];
        assert_eq!(pick("web", all).expect("one").map(|c| c.id).as_deref(), Some("b"));
    }
}
