//! CRI messages as canonical protobuf JSON, the form in which crictl prints them.

use plimsoll_fault::{Fault, Layer, Result};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde_json::Value;

/// `name` is the message's name in package `runtime.v1`. Default values are printed, 64-bit numbers are strings.
pub(crate) fn json(name: &str, message: &impl Message) -> Result<Value> {
    let failed = |what: String| Fault::new(Layer::Daemon, "print", format!("cannot print {name} as JSON: {what}"));
    let pool = DescriptorPool::decode(plimsoll_proto::cri::DESCRIPTORS).map_err(|error| failed(error.to_string()))?;
    let descriptor =
        pool.get_message_by_name(&format!("runtime.v1.{name}")).ok_or_else(|| failed("no such message".into()))?;
    let dynamic = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice())
        .map_err(|error| failed(error.to_string()))?;
    let options = SerializeOptions::new().skip_default_fields(false);
    dynamic.serialize_with_options(serde_json::value::Serializer, &options).map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_proto::cri;

    #[test]
    fn names_are_camel_case_and_enums_are_words() {
        let status = cri::ContainerStatus { id: "a".into(), state: 1, created_at: 5, ..Default::default() };
        let value = json("ContainerStatus", &status).expect("json");
        assert_eq!(value["state"], "CONTAINER_RUNNING");
        assert_eq!(value["createdAt"], "5");
        assert_eq!(value["exitCode"], 0);
    }
}
