//! HTTP to and from the events of API Gateway, payload format 2.0.

use aws_lambda_events::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_lambda_events::encodings::Body;
use axum::extract::Query;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::HashMap;

use super::routes::{Route, Target};

/// What the gateway knows of a request beside its content.
pub struct Receipt {
    /// Where it comes from.
    pub source_ip: String,
    /// Random.
    pub request_id: String,
    /// When it came.
    pub now_ms: i64,
}

/// The event of a request.
///
/// The body of a callback always travels as base64, so that not one byte of what was signed can change.
pub fn to_event(parts: &Parts, body: &[u8], route: Route, receipt: Receipt) -> ApiGatewayV2httpRequest {
    let mut event = ApiGatewayV2httpRequest::default();
    event.version = Some("2.0".to_owned());
    event.route_key = Some(route.key.to_owned());
    event.raw_path = Some(parts.uri.path().to_owned());
    event.raw_query_string = Some(parts.uri.query().unwrap_or_default().to_owned());
    event.query_string_parameters = query_of(&parts.uri)
        .into_iter()
        .map(|(name, values)| (name, values.join(",")))
        .collect::<HashMap<_, _>>()
        .into();
    event.path_parameters = route.path_parameters;
    event.cookies = cookies_of(&parts.headers);
    event.headers = joined(&parts.headers);
    match std::str::from_utf8(body) {
        _ if body.is_empty() => {}
        Ok(text) if route.target != Target::Callback => event.body = Some(text.to_owned()),
        _ => {
            event.body = Some(STANDARD.encode(body));
            event.is_base64_encoded = true;
        }
    }
    let context = &mut event.request_context;
    context.route_key = Some(route.key.to_owned());
    context.stage = Some("$default".to_owned());
    context.request_id = Some(receipt.request_id);
    context.time_epoch = receipt.now_ms;
    context.http.method = parts.method.clone();
    context.http.path = Some(parts.uri.path().to_owned());
    context.http.protocol = Some(format!("{:?}", parts.version));
    context.http.source_ip = Some(receipt.source_ip);
    context.http.user_agent =
        parts.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).map(str::to_owned);
    event
}

/// A query's parameters, decoded, each with all of its values in order.
pub fn query_of(uri: &Uri) -> HashMap<String, Vec<String>> {
    let pairs = Query::<Vec<(String, String)>>::try_from_uri(uri).map(|query| query.0).unwrap_or_default();
    let mut values: HashMap<String, Vec<String>> = HashMap::new();
    for (name, value) in pairs {
        values.entry(name).or_default().push(value);
    }
    values
}

/// Repeated headers joined by commas, as API Gateway does; cookies are apart.
fn joined(headers: &HeaderMap) -> HeaderMap {
    let mut joined = HeaderMap::with_capacity(headers.keys_len());
    for name in headers.keys().filter(|name| **name != header::COOKIE) {
        let values: Vec<&[u8]> = headers.get_all(name).iter().map(HeaderValue::as_bytes).collect();
        if let Ok(value) = HeaderValue::from_bytes(&values.join(&b","[..])) {
            joined.insert(name.clone(), value);
        }
    }
    joined
}

fn cookies_of(headers: &HeaderMap) -> Option<Vec<String>> {
    let values = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let cookies: Vec<String> = values.flat_map(|value| value.split("; ")).map(str::to_owned).collect();
    (!cookies.is_empty()).then_some(cookies)
}

/// The HTTP answer that a function's response describes.
pub fn to_http(response: ApiGatewayV2httpResponse) -> Response {
    let body = match response.body {
        None | Some(Body::Empty) => Vec::new(),
        Some(Body::Binary(bytes)) => bytes,
        Some(Body::Text(text)) if response.is_base64_encoded => match STANDARD.decode(text) {
            Ok(bytes) => bytes,
            Err(_) => return internal_error(),
        },
        Some(Body::Text(text)) => text.into_bytes(),
        Some(_) => return internal_error(),
    };
    let status =
        u16::try_from(response.status_code).ok().and_then(|status| StatusCode::from_u16(status).ok());
    let Some(status) = status else { return internal_error() };
    let has_body = !body.is_empty();
    let mut http = (status, body).into_response();
    http.headers_mut().remove(header::CONTENT_TYPE);
    if has_body {
        http.headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    }
    http.headers_mut().extend(response.headers);
    for cookie in response.cookies {
        if let Ok(value) = HeaderValue::from_str(&cookie) {
            http.headers_mut().append(header::SET_COOKIE, value);
        }
    }
    http
}

/// What API Gateway answers when a function failed.
pub fn internal_error() -> Response {
    plain(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
}

/// API Gateway's own answers.
pub fn plain(status: StatusCode, message: &str) -> Response {
    (status, axum::Json(serde_json::json!({"message": message}))).into_response()
}

#[cfg(test)]
mod tests {
    use super::super::routes;
    use super::*;
    use axum::http::Request;

    fn event(request: axum::http::request::Builder, body: &[u8]) -> ApiGatewayV2httpRequest {
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let route = routes::find(parts.method.as_str(), parts.uri.path()).unwrap();
        let receipt = Receipt { source_ip: "192.0.2.1".to_owned(), request_id: "r".to_owned(), now_ms: 5 };
        to_event(&parts, body, route, receipt)
    }

    #[test]
    fn a_callback_keeps_its_bytes_and_shows_repeated_headers() {
        let request = Request::post("/callbacks/demo/alipay?a=1&a=2&b=%20x")
            .header("Stripe-Signature", "t=1")
            .header("stripe-signature", "t=2")
            .header("cookie", "x=1; y=2");
        let event = event(request, b"a=1&b=2");
        assert_eq!(event.body.as_deref(), Some("YT0xJmI9Mg=="));
        assert!(event.is_base64_encoded);
        assert_eq!(event.headers["stripe-signature"], "t=1,t=2");
        assert!(!event.headers.contains_key("cookie"));
        assert_eq!(event.cookies, Some(vec!["x=1".to_owned(), "y=2".to_owned()]));
        assert_eq!(event.raw_path.as_deref(), Some("/callbacks/demo/alipay"));
        assert_eq!(event.raw_query_string.as_deref(), Some("a=1&a=2&b=%20x"));
        assert_eq!(event.query_string_parameters.first("a"), Some("1,2"));
        assert_eq!(event.query_string_parameters.first("b"), Some(" x"));
        assert_eq!(event.path_parameters["provider"], "alipay");
        assert_eq!(event.request_context.http.method, "POST");
        assert_eq!(event.request_context.http.source_ip.as_deref(), Some("192.0.2.1"));
        assert_eq!(event.request_context.http.protocol.as_deref(), Some("HTTP/1.1"));
    }

    #[test]
    fn bodies_are_text_where_they_can_be() {
        for (body, expected, is_base64_encoded) in
            [(&b"{}"[..], Some("{}"), false), (&b"\xff"[..], Some("/w=="), true), (&b""[..], None, false)]
        {
            let event = event(Request::post("/orders"), body);
            assert_eq!((event.body.as_deref(), event.is_base64_encoded), (expected, is_base64_encoded));
        }
    }

    #[test]
    fn responses_become_http() {
        let response = |json: &str| to_http(serde_json::from_str(json).unwrap());
        let xml = response(
            r#"{"statusCode":401,"headers":{"content-type":"text/xml"},"body":"<x/>","isBase64Encoded":false,"cookies":[]}"#,
        );
        assert_eq!(
            (xml.status(), &xml.headers()["content-type"]),
            (StatusCode::UNAUTHORIZED, &HeaderValue::from_static("text/xml"))
        );
        let empty = response(r#"{"statusCode":200,"headers":{},"isBase64Encoded":false,"cookies":[]}"#);
        assert!(!empty.headers().contains_key("content-type"));
        for bad in [
            r#"{"statusCode":99999,"headers":{},"isBase64Encoded":false,"cookies":[]}"#,
            r#"{"statusCode":200,"headers":{},"body":"%","isBase64Encoded":true,"cookies":[]}"#,
        ] {
            assert_eq!(response(bad).status(), StatusCode::INTERNAL_SERVER_ERROR, "{bad}");
        }
    }
}
