//! The deployment template, read with its short-form functions spelled out and its globals in their places.

use saphyr::{LoadableYamlNode as _, Scalar, Yaml};
use serde_json::{Map, Value};
use thiserror::Error;

/// What is wrong with a template as such.
#[derive(Debug, Error)]
pub enum TemplateError {
    /// It is no YAML.
    #[error("the template is no YAML: {0}")]
    Yaml(#[from] saphyr::ScanError),
    /// It holds something that templates do not.
    #[error("the template holds {0}, which no rule can read")]
    Unreadable(String),
}

/// A template's resources in their order.
pub struct Template {
    resources: Vec<Resource>,
}

/// One resource.
pub struct Resource {
    /// Its logical id.
    pub id: String,
    /// Its type, such as `AWS::SQS::Queue`.
    pub kind: String,
    /// Its properties; a function's with the globals.
    pub properties: Value,
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// [`TemplateError`] when it is no YAML, or no template.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let documents = Yaml::load_from_str(text)?;
        let document = documents.first().map_or(Ok(Value::Null), json)?;
        let global = document.pointer("/Globals/Function").cloned().unwrap_or_default();
        let resources = document.get("Resources").and_then(Value::as_object);
        let resources = resources.ok_or_else(|| TemplateError::Unreadable("no resources".to_owned()))?;
        let resources = resources.iter().map(|(id, resource)| {
            let kind = resource["Type"].as_str().unwrap_or_default().to_owned();
            let mut properties = resource.get("Properties").cloned().unwrap_or_default();
            if kind == FUNCTION {
                fill_in(&mut properties, &global);
            }
            Resource { id: id.clone(), kind, properties }
        });
        Ok(Self { resources: resources.collect() })
    }

    /// All resources.
    pub fn resources(&self) -> impl Iterator<Item = &Resource> {
        self.resources.iter()
    }

    /// The resources of a type.
    pub fn of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Resource> {
        self.resources.iter().filter(move |resource| resource.kind == kind)
    }

    /// The functions.
    pub fn functions(&self) -> impl Iterator<Item = &Resource> {
        self.of(FUNCTION)
    }

    /// The resource that a value refers to, by `!Ref`, `!GetAtt` or a `!Sub` that begins with it.
    pub fn target(&self, value: &Value) -> Option<&Resource> {
        let id = target_id(value)?;
        self.resources.iter().find(|resource| resource.id == id)
    }
}

const FUNCTION: &str = "AWS::Serverless::Function";

impl Resource {
    /// A property by its path, such as `/RedrivePolicy/maxReceiveCount`; null where it is absent.
    pub fn at(&self, path: &str) -> &Value {
        self.properties.pointer(path).unwrap_or(&Value::Null)
    }

    /// A number that holds under every condition; `None` where it is absent or no number.
    pub fn number(&self, path: &str) -> Option<i64> {
        alternatives(self.at(path)).first()?.as_i64()
    }

    /// What the name in this property has behind `paybell-${Stage}-`; empty where it has no such name.
    pub fn short_name(&self, path: &str) -> String {
        text(self.at(path)).strip_prefix("paybell-${Stage}-").unwrap_or_default().to_owned()
    }
}

/// What a value can be, `!If` resolved both ways and what is left out not counted.
pub fn alternatives(value: &Value) -> Vec<&Value> {
    if let Some([_, yes, no]) = value.get("Fn::If").and_then(Value::as_array).map(Vec::as_slice) {
        return [alternatives(yes), alternatives(no)].concat();
    }
    let is_absent = value.is_null() || value["Ref"] == "AWS::NoValue";
    if is_absent { Vec::new() } else { vec![value] }
}

/// The members of a list, or the one value that stands for a list.
pub fn members(value: &Value) -> Vec<&Value> {
    let lists = alternatives(value).into_iter();
    lists
        .flat_map(|value| match value.as_array() {
            Some(values) => values.iter().flat_map(alternatives).collect(),
            None => vec![value],
        })
        .collect()
}

/// A text with what is put into it as `${…}`; empty where it is no text.
pub fn text(value: &Value) -> String {
    let sub = &value["Fn::Sub"];
    let plain = [value, sub, &sub[0]].into_iter().find_map(Value::as_str);
    let reference = || ["Ref", "Fn::GetAtt"].iter().find_map(|name| value[name].as_str());
    match plain {
        Some(text) => text.to_owned(),
        None => reference().map(|name| format!("${{{name}}}")).unwrap_or_default(),
    }
}

fn target_id(value: &Value) -> Option<String> {
    let text = text(value);
    let (name, _) = text.strip_prefix("${")?.split_once('}')?;
    name.split('.').next().map(str::to_owned)
}

/// Adds what is not there, at every depth.
fn fill_in(properties: &mut Value, global: &Value) {
    match (properties, global) {
        (Value::Object(have), Value::Object(global)) => {
            for (name, value) in global {
                fill_in(have.entry(name).or_insert(Value::Null), value);
            }
        }
        (have @ Value::Null, global) => *have = global.clone(),
        _ => {}
    }
}

fn json(yaml: &Yaml<'_>) -> Result<Value, TemplateError> {
    Ok(match yaml {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(value)) => (*value).into(),
        Yaml::Value(Scalar::Integer(value)) => (*value).into(),
        Yaml::Value(Scalar::FloatingPoint(value)) => value.into_inner().into(),
        Yaml::Value(Scalar::String(value)) => value.as_ref().into(),
        Yaml::Sequence(values) => values.iter().map(json).collect::<Result<Vec<_>, _>>()?.into(),
        Yaml::Mapping(members) => {
            let members = members.iter().map(|(name, value)| Ok((key(name)?, json(value)?)));
            Value::Object(members.collect::<Result<Map<_, _>, TemplateError>>()?)
        }
        Yaml::Tagged(tag, value) => {
            let name = match tag.suffix.as_str() {
                short @ ("Ref" | "Condition") => short.to_owned(),
                function => format!("Fn::{function}"),
            };
            Value::Object(Map::from_iter([(name, json(value)?)]))
        }
        other => return Err(TemplateError::Unreadable(format!("{other:?}"))),
    })
}

/// Numbers and truth values as keys are the texts that they are written as.
fn key(yaml: &Yaml<'_>) -> Result<String, TemplateError> {
    match json(yaml)? {
        Value::String(name) => Ok(name),
        other @ (Value::Number(_) | Value::Bool(_)) => Ok(other.to_string()),
        other => Err(TemplateError::Unreadable(format!("the key {other}"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TEMPLATE: &str = r#"
Globals:
  Function: {Tracing: Active, Timeout: 3, Environment: {Variables: {A: !Ref Table}}}
Resources:
  First:
    Type: AWS::Serverless::Function
    Properties:
      Timeout: 10
      Environment: {Variables: {B: "1"}}
      Role: !GetAtt Role.Arn
      Limit: !If [Limited, 5, !Ref AWS::NoValue]
  Role:
    Type: AWS::IAM::Role
"#;

    #[test]
    fn functions_get_the_globals_that_they_do_not_say_themselves() {
        let template = Template::parse(TEMPLATE).unwrap();
        let first = template.functions().next().unwrap();
        let expected = json!({
            "Timeout": 10,
            "Tracing": "Active",
            "Environment": {"Variables": {"A": {"Ref": "Table"}, "B": "1"}},
            "Role": {"Fn::GetAtt": "Role.Arn"},
            "Limit": {"Fn::If": ["Limited", 5, {"Ref": "AWS::NoValue"}]},
        });
        assert_eq!(first.properties, expected);
        assert_eq!(first.number("/Limit"), Some(5));
        assert_eq!(template.target(first.at("/Role")).unwrap().id, "Role");
        assert_eq!(template.of("AWS::IAM::Role").next().unwrap().properties, Value::Null);
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for (text, expected) in [
            ("a: [", "no YAML"),
            ("", "no resources"),
            ("Resources: &a {b: *b}", "no YAML"),
            ("? [1]\n: 1", "the key"),
        ] {
            let error = Template::parse(text).err().unwrap().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn texts_show_what_is_put_into_them() {
        for (value, expected) in [
            (json!("plain"), "plain"),
            (json!({"Fn::Sub": "a-${Stage}"}), "a-${Stage}"),
            (json!({"Fn::Sub": ["${F}", {"F": 1}]}), "${F}"),
            (json!({"Ref": "Queue"}), "${Queue}"),
            (json!({"Fn::GetAtt": "Queue.Arn"}), "${Queue.Arn}"),
            (json!(7), ""),
        ] {
            assert_eq!(text(&value), expected);
        }
    }
}
