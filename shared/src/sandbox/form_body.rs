//! Form requests, as the Chinese gateways send them.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::SignedRequest;
use crate::callback::form::Form;

/// A form body that grows parameter by parameter.
#[derive(Default)]
pub struct FormBody(String);

impl FormBody {
    /// Appends a parameter.
    pub fn push(&mut self, name: &str, value: &str) {
        if !self.0.is_empty() {
            self.0.push('&');
        }
        self.0.push_str(name);
        self.0.push('=');
        self.0.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
    }

    /// `name=value` joined by `&` and sorted, without the `excluded` names and without empty values.
    pub fn sorted_pairs(&self, excluded: &[&str]) -> Vec<u8> {
        Form::parse(self.0.as_bytes()).map(|form| form.sorted_pairs(excluded, true)).unwrap_or_default()
    }

    /// The request that posts it.
    pub fn into_request(self) -> SignedRequest {
        SignedRequest {
            method: "POST",
            query: String::new(),
            headers: vec![(
                "Content-Type".to_owned(),
                "application/x-www-form-urlencoded; charset=utf-8".to_owned(),
            )],
            body: self.0.into_bytes(),
        }
    }
}
