//! The few calls to AWS for which a whole client would be too much, and where it is.

use std::time::SystemTime;

use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use reqwest::Method;
use serde_json::{Value, json};

use crate::wait::until;

/// The most that CloudWatch Logs gives at once.
const LOG_EVENTS_MAX: usize = 10_000;

/// AWS, or its emulator, as the environment of the AWS tools names it.
pub struct Aws {
    sdk_config: SdkConfig,
    http: reqwest::Client,
}

impl Aws {
    /// Region, credentials and, for an emulator, the address as `AWS_REGION`, `AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY` and `AWS_ENDPOINT_URL` say.
    pub async fn from_env() -> Self {
        Self { sdk_config: paybell_shared::aws::sdk_config(), http: reqwest::Client::new() }
    }

    /// The configuration for clients.
    pub fn sdk_config(&self) -> &SdkConfig {
        &self.sdk_config
    }

    /// Whether it is an emulator.
    pub fn is_emulated(&self) -> bool {
        self.sdk_config.endpoint_url().is_some()
    }

    /// What was written to a log group from `since_ms` on.
    ///
    /// # Source
    /// CloudWatch Logs API, `FilterLogEvents`.
    pub async fn log(&self, group: &str, since_ms: i64) -> String {
        let mut log = String::new();
        let mut since_ms = since_ms;
        let mut next = Value::Null;
        loop {
            let mut question =
                json!({ "logGroupName": group, "startTime": since_ms, "limit": LOG_EVENTS_MAX });
            if !next.is_null() {
                question["nextToken"] = next;
            }
            let headers = [
                ("content-type", "application/x-amz-json-1.1"),
                ("x-amz-target", "Logs_20140328.FilterLogEvents"),
            ];
            let body = question.to_string();
            let answer = self.call("logs", Method::POST, "/", &headers, body.as_bytes()).await;
            let answer = match answer {
                Ok(answer) => answer,
                // A function that has never run has no log.
                Err(error) if error.contains("ResourceNotFoundException") => return log,
                Err(error) => panic!("cannot read {group}: {error}"),
            };
            let events = answer["events"].as_array().cloned().unwrap_or_default();
            for event in &events {
                log.push_str(event["message"].as_str().unwrap_or_default());
                log.push('\n');
            }
            next = answer["nextToken"].clone();
            // The emulator leaves out the token: what fits no more is asked for by its time.
            if next.is_null() && events.len() < LOG_EVENTS_MAX {
                return log;
            }
            if next.is_null() {
                let last_ms = events.last().and_then(|event| event["timestamp"].as_i64());
                since_ms =
                    last_ms.filter(|last_ms| *last_ms > since_ms).expect("a log moves on within a call");
            }
        }
    }

    /// Turns the event source mapping of a function on or off, and waits until it is.
    ///
    /// # Source
    /// Lambda API, `ListEventSourceMappings` and `UpdateEventSourceMapping`.
    pub async fn enable_mapping(&self, function: &str, enabled: bool) {
        let wanted = if enabled { "Enabled" } else { "Disabled" };
        let mapping = self.mapping(function).await;
        if mapping["State"] == wanted {
            return;
        }
        let id = mapping["UUID"].as_str().unwrap_or_else(|| panic!("{mapping} has no id")).to_owned();
        let body = json!({ "Enabled": enabled }).to_string();
        let path = format!("/2015-03-31/event-source-mappings/{id}");
        let answer = self.call("lambda", Method::PUT, &path, &[], body.as_bytes()).await;
        answer.unwrap_or_else(|error| panic!("cannot change the mapping of {function}: {error}"));
        let state = async || self.mapping(function).await["State"].clone();
        until(&format!("the mapping of {function} to be {wanted}"), state, |state| state == wanted).await;
    }

    async fn mapping(&self, function: &str) -> Value {
        let answer = self.call("lambda", Method::GET, "/2015-03-31/event-source-mappings/", &[], b"").await;
        let answer = answer.unwrap_or_else(|error| panic!("cannot list the mappings: {error}"));
        let of_function = |mapping: &&Value| {
            let arn = mapping["FunctionArn"].as_str().unwrap_or_default();
            // Behind the name there may be the alias.
            arn.split(':').any(|part| part == function)
        };
        let found = answer["EventSourceMappings"].as_array().into_iter().flatten().find(of_function).cloned();
        found.unwrap_or_else(|| panic!("{function} has no event source mapping: {answer}"))
    }

    async fn call(
        &self,
        service: &str,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Result<Value, String> {
        let region = self.sdk_config.region().expect("AWS_REGION is set").to_string();
        let origin = match self.sdk_config.endpoint_url() {
            Some(address) => address.trim_end_matches('/').to_owned(),
            None => format!("https://{service}.{region}.amazonaws.com"),
        };
        let address = format!("{origin}{path}");
        let credentials = self.sdk_config.credentials_provider().expect("there are credentials");
        let identity = credentials.provide_credentials().await.map_err(|error| error.to_string())?.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&region)
            .name(service)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| error.to_string())?;
        let signable = SignableRequest::new(
            method.as_str(),
            address.as_str(),
            headers.iter().copied(),
            SignableBody::Bytes(body),
        )
        .map_err(|error| error.to_string())?;
        let (instructions, _) =
            sign(signable, &parameters.into()).map_err(|error| error.to_string())?.into_parts();
        let mut request = self.http.request(method, address.as_str()).body(body.to_vec());
        for (name, value) in headers.iter().copied().chain(instructions.headers()) {
            request = request.header(name, value);
        }
        let response = request.send().await.map_err(|error| format!("{address}: {error:?}"))?;
        let status = response.status();
        let text = response.text().await.map_err(|error| error.to_string())?;
        if !status.is_success() {
            return Err(format!("{address} answered {status}: {text}"));
        }
        serde_json::from_str(&text).map_err(|error| format!("{address} answered no JSON ({error}): {text}"))
    }
}
