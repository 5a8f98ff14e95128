//! The JSON protocol of Amazon SQS (`X-Amz-Target: AmazonSQS.…`, `application/x-amz-json-1.0`).

use std::collections::BTreeSet;
use std::time::Duration;

use md5::{Digest as _, Md5};
use serde_json::{Map, Value, json};

use super::attributes::Attributes;
use super::store::{Counts, Outgoing, Receive, Received, Redrive, Store};
use super::writer::StoreError;

/// Largest message, and largest sum of a batch, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
const BATCH_ENTRIES_MAX: usize = 10;
const VISIBILITY_TIMEOUT_SECONDS_MAX: u32 = 12 * 3600;
const DELAY_SECONDS_MAX: u32 = 900;
const ARN_PREFIX: &str = "arn:aws:sqs:local:000000000000:";

/// An error as the protocol names it.
#[derive(Debug, PartialEq, Eq)]
pub struct ProtocolError {
    /// HTTP status.
    pub status: u16,
    /// The error's shape name.
    pub code: &'static str,
    /// For people.
    pub message: String,
}

impl ProtocolError {
    /// The name of the older query protocol, which clients still tell errors apart by (header `x-amzn-query-error`).
    pub fn query_error(&self) -> String {
        let fault = if self.status < 500 { "Sender" } else { "Receiver" };
        match self.code {
            "InternalFailure" | "InvalidAttributeValue" | "InvalidParameterValue" | "MissingParameter" => {
                format!("{};{fault}", self.code)
            }
            "QueueDoesNotExist" => format!("AWS.SimpleQueueService.NonExistentQueue;{fault}"),
            code => format!("AWS.SimpleQueueService.{code};{fault}"),
        }
    }
}

impl From<StoreError> for ProtocolError {
    fn from(error: StoreError) -> Self {
        Self { status: 500, code: "InternalFailure", message: error.to_string() }
    }
}

fn refuse(code: &'static str, message: impl Into<String>) -> ProtocolError {
    ProtocolError { status: 400, code, message: message.into() }
}

/// The queue ARN that an event source mapping shows.
pub fn arn(queue: &str) -> String {
    format!("{ARN_PREFIX}{queue}")
}

/// Performs one operation; `endpoint` is the address that queue addresses start with.
///
/// # Errors
/// What the caller is told, in the protocol's terms.
pub async fn perform(
    store: &Store,
    endpoint: &str,
    operation: &str,
    input: &Value,
) -> Result<Value, ProtocolError> {
    let url = |name: &str| json!({"QueueUrl": format!("{endpoint}/000000000000/{name}")});
    if operation == "CreateQueue" {
        let name = text(input, "QueueName")?;
        let (visibility_timeout_seconds, redrive) = queue_settings(&input["Attributes"])?;
        store.create_queue(name, visibility_timeout_seconds, redrive).await?;
        return Ok(url(name));
    }
    let named = match operation {
        "GetQueueUrl" => text(input, "QueueName")?,
        _ => text(input, "QueueUrl")?,
    };
    let queue = named.rsplit('/').next().unwrap_or(named);
    if !store.has_queue(queue).await? {
        return Err(refuse("QueueDoesNotExist", "The specified queue does not exist."));
    }
    match operation {
        "GetQueueUrl" => Ok(url(queue)),
        "SendMessage" => send(store, queue, input).await,
        "SendMessageBatch" => send_batch(store, queue, input).await,
        "ReceiveMessage" => receive(store, queue, input).await,
        "DeleteMessage" => {
            store.delete(queue, vec![text(input, "ReceiptHandle")?.to_owned()]).await?;
            Ok(json!({}))
        }
        "ChangeMessageVisibility" => {
            let change = (text(input, "ReceiptHandle")?.to_owned(), visibility(input)?);
            match store.change_visibility(queue, vec![change]).await?.first() {
                Some(true) => Ok(json!({})),
                _ => Err(not_in_flight()),
            }
        }
        "GetQueueAttributes" => Ok(queue_attributes(store.counts(queue).await?, &input["AttributeNames"])),
        "ChangeMessageVisibilityBatch" => change_visibility_batch(store, queue, input).await,
        "DeleteMessageBatch" => {
            let entries = batch(input)?;
            let receipts = entries.iter().map(|entry| Ok(text(entry, "ReceiptHandle")?.to_owned()));
            store.delete(queue, receipts.collect::<Result<_, ProtocolError>>()?).await?;
            let done: Vec<Value> = entries.iter().map(|entry| json!({"Id": entry["Id"]})).collect();
            Ok(json!({"Successful": done, "Failed": []}))
        }
        _ => Err(refuse("UnsupportedOperation", format!("{operation} is not served here"))),
    }
}

async fn send(store: &Store, queue: &str, input: &Value) -> Result<Value, ProtocolError> {
    let (message, output) = outgoing(input)?;
    store.send(queue, vec![message]).await?;
    Ok(output)
}

async fn send_batch(store: &Store, queue: &str, input: &Value) -> Result<Value, ProtocolError> {
    let (mut messages, mut done, mut bytes) = (Vec::new(), Vec::new(), 0);
    for entry in batch(input)? {
        let (message, mut output) = outgoing(entry)?;
        bytes += message.body.len() + message.attributes.bytes();
        output["Id"] = entry["Id"].clone();
        messages.push(message);
        done.push(output);
    }
    if bytes > MESSAGE_BYTES_MAX {
        return Err(refuse("BatchRequestTooLong", "The messages together are larger than 1 MiB."));
    }
    store.send(queue, messages).await?;
    Ok(json!({"Successful": done, "Failed": []}))
}

/// Each entry has an outcome of its own.
async fn change_visibility_batch(store: &Store, queue: &str, input: &Value) -> Result<Value, ProtocolError> {
    let entries = batch(input)?;
    let changes = entries
        .iter()
        .map(|entry| Ok((text(entry, "ReceiptHandle")?.to_owned(), visibility(entry)?)))
        .collect::<Result<_, ProtocolError>>()?;
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for (entry, is_changed) in entries.iter().zip(store.change_visibility(queue, changes).await?) {
        if is_changed {
            successful.push(json!({"Id": entry["Id"]}));
        } else {
            let ProtocolError { code, message, .. } = not_in_flight();
            failed.push(json!({"Id": entry["Id"], "Code": code, "Message": message, "SenderFault": true}));
        }
    }
    Ok(json!({"Successful": successful, "Failed": failed}))
}

fn outgoing(input: &Value) -> Result<(Outgoing, Value), ProtocolError> {
    let body = text(input, "MessageBody")?;
    let attributes = Attributes::from_wire(&input["MessageAttributes"]);
    let attributes = attributes.map_err(|problem| refuse("InvalidParameterValue", problem))?;
    if body.len() + attributes.bytes() > MESSAGE_BYTES_MAX {
        return Err(refuse("InvalidParameterValue", "The message is larger than 1 MiB."));
    }
    let delay_seconds = number(input, "DelaySeconds", 0..=DELAY_SECONDS_MAX)?.unwrap_or_default();
    let message = Outgoing { attributes, delay_seconds, ..Outgoing::new(body) };
    let mut output = json!({"MessageId": message.message_id, "MD5OfMessageBody": md5_of(body)});
    if !message.attributes.is_empty() {
        output["MD5OfMessageAttributes"] = message.attributes.md5().into();
    }
    Ok((message, output))
}

async fn receive(store: &Store, queue: &str, input: &Value) -> Result<Value, ProtocolError> {
    let receive = Receive {
        messages_max: number(input, "MaxNumberOfMessages", 1..=10)?.unwrap_or(1),
        visibility_timeout_seconds: number(input, "VisibilityTimeout", 0..=VISIBILITY_TIMEOUT_SECONDS_MAX)?,
        wait: Duration::from_secs(number(input, "WaitTimeSeconds", 0..=20)?.unwrap_or_default().into()),
    };
    let received = store.receive(queue, receive).await?;
    let names = &input["MessageAttributeNames"];
    Ok(json!({"Messages": received.iter().map(|message| wire_message(message, names)).collect::<Vec<_>>()}))
}

fn wire_message(message: &Received, attribute_names: &Value) -> Value {
    let mut wire = json!({
        "MessageId": message.message_id,
        "ReceiptHandle": message.receipt,
        "Body": message.body,
        "MD5OfBody": md5_of(&message.body),
        "Attributes": system_attributes(message),
    });
    let attributes = message.attributes.asked_for(attribute_names);
    if !attributes.is_empty() {
        wire["MessageAttributes"] = attributes.to_wire();
        wire["MD5OfMessageAttributes"] = attributes.md5().into();
    }
    wire
}

/// Those of the queue's attributes that change by themselves and are asked for.
fn queue_attributes(counts: Counts, names: &Value) -> Value {
    let all = [
        ("ApproximateNumberOfMessages", counts.visible),
        ("ApproximateNumberOfMessagesNotVisible", counts.hidden),
        ("ApproximateNumberOfMessagesDelayed", counts.delayed),
    ];
    let names: Vec<&str> = names.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let asked = all.into_iter().filter(|(name, _)| names.contains(name) || names.contains(&"All"));
    let asked = asked.map(|(name, count)| (name.to_owned(), count.to_string().into()));
    json!({"Attributes": asked.collect::<Map<String, Value>>()})
}

/// The checksum that SQS clients compare. It finds transport faults and proves nothing.
fn md5_of(body: &str) -> String {
    hex::encode(Md5::digest(body))
}

/// The attributes that the queue itself gives a message.
pub fn system_attributes(message: &Received) -> Map<String, Value> {
    Map::from_iter([
        ("ApproximateReceiveCount".to_owned(), message.receive_count.to_string().into()),
        ("SentTimestamp".to_owned(), message.sent_at_ms.to_string().into()),
        ("ApproximateFirstReceiveTimestamp".to_owned(), message.first_received_at_ms.to_string().into()),
        ("SenderId".to_owned(), "local".into()),
    ])
}

fn not_in_flight() -> ProtocolError {
    refuse("MessageNotInflight", "The message is not in flight under this receipt handle.")
}

fn queue_settings(attributes: &Value) -> Result<(u32, Option<Redrive>), ProtocolError> {
    let invalid = |name: &str| refuse("InvalidAttributeValue", format!("Invalid value for {name}."));
    let visibility_timeout_seconds = match attributes["VisibilityTimeout"].as_str() {
        None => 30,
        Some(seconds) => seconds.parse().map_err(|_| invalid("VisibilityTimeout"))?,
    };
    let Some(policy) = attributes["RedrivePolicy"].as_str() else {
        return Ok((visibility_timeout_seconds, None));
    };
    let policy: Value = serde_json::from_str(policy).map_err(|_| invalid("RedrivePolicy"))?;
    let target = policy["deadLetterTargetArn"].as_str().and_then(|arn| arn.rsplit(':').next());
    let max = &policy["maxReceiveCount"];
    let max = max.as_u64().or_else(|| max.as_str()?.parse().ok()).and_then(|max| u32::try_from(max).ok());
    let redrive =
        target.zip(max.filter(|max| (1..=1000).contains(max))).map(|(target, receive_count_max)| Redrive {
            dead_letter_queue: target.to_owned(),
            receive_count_max,
        });
    redrive.map(|it| (visibility_timeout_seconds, Some(it))).ok_or_else(|| invalid("RedrivePolicy"))
}

fn batch(input: &Value) -> Result<&Vec<Value>, ProtocolError> {
    let entries = input["Entries"].as_array().filter(|entries| !entries.is_empty());
    let entries =
        entries.ok_or_else(|| refuse("EmptyBatchRequest", "There should be at least one entry."))?;
    if entries.len() > BATCH_ENTRIES_MAX {
        return Err(refuse("TooManyEntriesInBatchRequest", "Maximum number of entries per request are 10."));
    }
    let ids: BTreeSet<&str> = entries.iter().filter_map(|entry| entry["Id"].as_str()).collect();
    if ids.len() < entries.len() {
        return Err(refuse("BatchEntryIdsNotDistinct", "Every entry needs an Id of its own."));
    }
    Ok(entries)
}

fn text<'a>(input: &'a Value, name: &str) -> Result<&'a str, ProtocolError> {
    input[name]
        .as_str()
        .filter(|text| !text.is_empty())
        .ok_or_else(|| refuse("MissingParameter", format!("The request must contain the parameter {name}.")))
}

fn visibility(input: &Value) -> Result<u32, ProtocolError> {
    number(input, "VisibilityTimeout", 0..=VISIBILITY_TIMEOUT_SECONDS_MAX)?
        .ok_or_else(|| refuse("MissingParameter", "The request must contain VisibilityTimeout."))
}

fn number(
    input: &Value,
    name: &str,
    range: std::ops::RangeInclusive<u32>,
) -> Result<Option<u32>, ProtocolError> {
    match &input[name] {
        Value::Null => Ok(None),
        value => match value.as_u64().and_then(|number| u32::try_from(number).ok()) {
            Some(number) if range.contains(&number) => Ok(Some(number)),
            _ => Err(refuse("InvalidParameterValue", format!("{name} must be within {range:?}."))),
        },
    }
}
