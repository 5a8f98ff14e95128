//! What seeds are made of: the requests of fixtures, of vectors beside the checkout, and the texts inside of them.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::Value;

use crate::request_text::RequestText;

/// The checkout's folder of fixtures.
pub fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures")
}

/// Requests that were signed or forged for a provider, and the keys that they were made with.
pub struct Vector {
    /// The request.
    pub request: RequestText,
    /// The key material.
    pub keys: Value,
}

/// All vectors: the fixtures', and those of the folder `shared/vectors` beside the checkout when it is there.
pub fn vectors() -> &'static [Vector] {
    static VECTORS: LazyLock<Vec<Vector>> = LazyLock::new(|| {
        let mut files: Vec<PathBuf> =
            names_in(&fixtures()).into_iter().map(|folder| folder.join("vectors.json")).collect();
        let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
        files.extend(names_in(&beside));
        files.iter().flat_map(|file| read(file)).collect()
    });
    &VECTORS
}

fn names_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

fn read(file: &Path) -> Vec<Vector> {
    let parsed = std::fs::read(file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let Some(Value::Array(vectors)) = parsed else { return Vec::new() };
    // The vectors beside the checkout name their provider by the file.
    let of_file = file.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    vectors.iter().filter_map(|vector| read_one(vector, of_file)).collect()
}

fn read_one(vector: &Value, of_file: &str) -> Option<Vector> {
    let text = |name: &str| vector[name].as_str().map(str::to_owned);
    let mut headers = Vec::new();
    for (name, value) in vector["headers"].as_object().into_iter().flatten() {
        let several = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
        let values = several.iter().filter_map(|value| value.as_str().map(str::to_owned));
        headers.extend(values.map(|value| (name.clone(), value)));
    }
    let request = RequestText {
        provider: text("provider").unwrap_or_else(|| of_file.to_owned()),
        method: text("method")?,
        path: text("path")?,
        headers,
        body: STANDARD.decode(text("raw_body_base64")?).ok()?,
    };
    Some(Vector { request, keys: vector["key_material"].clone() })
}

/// The bodies of all vectors of a certain kind, each once.
pub fn bodies(is_wanted: fn(&[u8]) -> bool) -> Vec<Vec<u8>> {
    let bodies = vectors().iter().map(|vector| &vector.request.body);
    let mut bodies: Vec<Vec<u8>> = bodies.filter(|body| is_wanted(body)).cloned().collect();
    bodies.sort_unstable();
    bodies.dedup();
    bodies
}

/// Every text in keys, headers and JSON bodies, and what base64 in them stands for, each once.
pub fn texts() -> &'static [Vec<u8>] {
    static TEXTS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
        let mut texts = Vec::new();
        for Vector { request, keys } in vectors() {
            collect(keys, &mut texts);
            texts.extend(request.headers.iter().map(|(_, value)| value.clone().into_bytes()));
            if let Ok(body) = serde_json::from_slice(&request.body) {
                collect(&body, &mut texts);
            }
        }
        texts.sort_unstable();
        texts.dedup();
        texts
    });
    &TEXTS
}

fn collect(value: &Value, texts: &mut Vec<Vec<u8>>) {
    match value {
        Value::String(text) => {
            texts.push(text.clone().into_bytes());
            // The header of a JWS holds certificates, an envelope's fields hold documents.
            let parts = text.split('.').filter(|part| part.len() > 2);
            for decoded in parts.filter_map(decoded) {
                match serde_json::from_slice::<Value>(&decoded) {
                    Ok(inner @ (Value::Object(_) | Value::Array(_))) => collect(&inner, texts),
                    _ => texts.push(decoded),
                }
            }
        }
        Value::Array(members) => members.iter().for_each(|member| collect(member, texts)),
        Value::Object(members) => members.values().for_each(|member| collect(member, texts)),
        _ => {}
    }
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).or_else(|_| URL_SAFE_NO_PAD.decode(text)).ok()
}

/// The texts of a certain kind.
pub fn texts_where(is_wanted: fn(&[u8]) -> bool) -> Vec<Vec<u8>> {
    texts().iter().filter(|text| is_wanted(text)).cloned().collect()
}
