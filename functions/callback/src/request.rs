//! An API Gateway event as the provider's request.

use aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use paybell_shared::callback::{
    ACCOUNT_BYTES_MAX, BODY_BYTES_MAX, HEADER_BYTES_MAX, HEADER_COUNT_MAX, RawCallback, Rejection,
};

/// Most bytes of all headers together, names included, so that the queue's message stays below its limit.
const HEADERS_BYTES_MAX: usize = 64 * 1024;

/// What a callback's address names.
pub(crate) struct Address {
    pub account: String,
    pub provider: String,
    /// What follows the provider's name, with its slash; usually nothing.
    pub further_path: String,
}

/// The parts of `/callbacks/{account}/{provider}` and a further path; `None` for another address.
pub(crate) fn address(event: &ApiGatewayV2httpRequest) -> Option<Address> {
    let (account, rest) = path(event).strip_prefix("/callbacks/")?.split_once('/')?;
    let (provider, further_path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let named = (1..=ACCOUNT_BYTES_MAX).contains(&account.len()) && !provider.is_empty();
    named.then(|| Address {
        account: account.to_owned(),
        provider: provider.to_owned(),
        further_path: further_path.to_owned(),
    })
}

/// Refuses what is too large before anything is copied.
pub(crate) fn check_size(event: &ApiGatewayV2httpRequest) -> Result<(), Rejection> {
    let body_bytes = event.body.as_ref().map_or(0, String::len);
    let decoded_bytes_min =
        if event.is_base64_encoded { (body_bytes / 4 * 3).saturating_sub(2) } else { body_bytes };
    if decoded_bytes_min > BODY_BYTES_MAX {
        return Err(too_large("body", BODY_BYTES_MAX));
    }
    let mut headers_bytes = 0;
    for (name, value) in &event.headers {
        if value.len() > HEADER_BYTES_MAX {
            return Err(too_large("header", HEADER_BYTES_MAX));
        }
        headers_bytes += name.as_str().len() + value.len();
    }
    if event.headers.len() > HEADER_COUNT_MAX || headers_bytes > HEADERS_BYTES_MAX {
        return Err(too_large("header", HEADERS_BYTES_MAX));
    }
    Ok(())
}

/// The provider's request, byte for byte.
pub(crate) fn decode(event: &ApiGatewayV2httpRequest) -> Result<RawCallback, Rejection> {
    let Address { account, provider, .. } = address(event).ok_or_else(|| Rejection::malformed("path"))?;
    let query = event.raw_query_string.as_deref().unwrap_or_default();
    let path = if query.is_empty() { path(event).to_owned() } else { format!("{}?{query}", path(event)) };
    let headers = event
        .headers
        .iter()
        .map(|(name, value)| {
            let value = value.to_str().map_err(|_| Rejection::malformed("header"))?;
            Ok((name.as_str().to_owned(), value.to_owned()))
        })
        .collect::<Result<Vec<_>, Rejection>>()?;
    let method = event.request_context.http.method.as_str();
    Ok(RawCallback::new(account, provider, method, path, headers, body(event)?))
}

fn path(event: &ApiGatewayV2httpRequest) -> &str {
    event.raw_path.as_deref().unwrap_or_default()
}

fn body(event: &ApiGatewayV2httpRequest) -> Result<Vec<u8>, Rejection> {
    let text = event.body.as_deref().unwrap_or_default();
    let bytes = if event.is_base64_encoded {
        STANDARD.decode(text).map_err(|_| Rejection::malformed("body"))?
    } else {
        text.as_bytes().to_vec()
    };
    if bytes.len() > BODY_BYTES_MAX { Err(too_large("body", BODY_BYTES_MAX)) } else { Ok(bytes) }
}

fn too_large(what: &str, limit_bytes: usize) -> Rejection {
    Rejection::TooLarge { what: what.to_owned(), limit_bytes }
}
