//! Message attributes: what a sender says beside the text, kept and handed out as SQS does. Texts only; nobody here
//! sends bytes.

use std::collections::BTreeMap;

use md5::{Digest as _, Md5};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Most attributes of one message.
///
/// # Source
/// Amazon SQS Developer Guide, "Amazon SQS message metadata".
const ATTRIBUTES_MAX: usize = 10;

/// How the checksum marks a text.
const TEXT_MARK: u8 = 1;

/// A message's attributes by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attributes(BTreeMap<String, Attribute>);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Attribute {
    data_type: String,
    value: String,
}

impl Attributes {
    /// Reads them off a request; an error says what is wrong with them.
    ///
    /// # Errors
    /// A sentence for the sender.
    pub fn from_wire(value: &Value) -> Result<Self, String> {
        let mut attributes = BTreeMap::new();
        for (name, value) in value.as_object().into_iter().flatten() {
            let text = |field: &str| value[field].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
            let (Some(data_type), Some(value)) = (text("DataType"), text("StringValue")) else {
                return Err(
                    "Message attributes are served here with a DataType and a StringValue.".to_owned()
                );
            };
            attributes.insert(name.clone(), Attribute { data_type, value });
        }
        if attributes.len() > ATTRIBUTES_MAX {
            return Err(format!("A message has at most {ATTRIBUTES_MAX} attributes."));
        }
        Ok(Self(attributes))
    }

    /// Those whose names a receive asks for: each by its name, `All`, or the beginning of a name and `.*`.
    pub fn asked_for(&self, names: &Value) -> Self {
        let names: Vec<&str> = names.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let is_asked_for = |name: &str| {
            names.iter().any(|asked| match asked.strip_suffix(".*") {
                Some(start) => name.starts_with(start),
                None => *asked == "All" || *asked == name,
            })
        };
        let asked_for = self.0.iter().filter(|(name, _)| is_asked_for(name));
        Self(asked_for.map(|(name, attribute)| (name.clone(), attribute.clone())).collect())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How much they count of a message's size.
    pub fn bytes(&self) -> usize {
        self.0.iter().map(|(name, it)| name.len() + it.data_type.len() + it.value.len()).sum()
    }

    /// As a response has them.
    pub fn to_wire(&self) -> Value {
        let wire =
            |attribute: &Attribute| json!({"DataType": attribute.data_type, "StringValue": attribute.value});
        let members = self.0.iter().map(|(name, attribute)| (name.clone(), wire(attribute)));
        Value::Object(members.collect::<Map<_, _>>())
    }

    /// The checksum that SQS clients compare.
    ///
    /// # Source
    /// Amazon SQS Developer Guide, "Calculating the MD5 message digest for message attributes".
    pub fn md5(&self) -> String {
        let mut digest = Md5::new();
        for (name, attribute) in &self.0 {
            update(&mut digest, name);
            update(&mut digest, &attribute.data_type);
            digest.update([TEXT_MARK]);
            update(&mut digest, &attribute.value);
        }
        hex::encode(digest.finalize())
    }
}

fn update(digest: &mut Md5, text: &str) {
    digest.update(u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
    digest.update(text);
}
