//! Which function serves an address: the routes of the HTTP API.

use std::collections::HashMap;

use percent_encoding::percent_decode_str;

/// The functions behind the HTTP API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Provider callbacks.
    Callback,
    /// Orders, users, tickets.
    Orders,
}

/// A route that an address matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The function.
    pub target: Target,
    /// The route's key, as in the deployed API.
    pub key: &'static str,
    /// The values of the path's parameters.
    pub path_parameters: HashMap<String, String>,
}

const ROUTES: &[(&str, Target)] = &[
    ("POST /callbacks/{account}/{provider}", Target::Callback),
    ("GET /callbacks/{account}/{provider}", Target::Callback),
    ("GET /callbacks/{account}/{provider}/{further+}", Target::Callback),
    ("POST /orders", Target::Orders),
    ("GET /orders/{order_id}", Target::Orders),
    ("GET /users/{user}/orders", Target::Orders),
    ("GET /users/{user}/inbox", Target::Orders),
    ("POST /tickets", Target::Orders),
];

/// The route of a request; API Gateway answers 404 where there is none, whatever the method.
pub fn find(method: &str, path: &str) -> Option<Route> {
    ROUTES.iter().find_map(|&(key, target)| {
        let (route_method, pattern) = key.split_once(' ')?;
        let path_parameters = (route_method == method).then(|| parameters_of(pattern, path))??;
        Some(Route { target, key, path_parameters })
    })
}

fn parameters_of(pattern: &str, path: &str) -> Option<HashMap<String, String>> {
    let patterns: Vec<&str> = pattern.split('/').collect();
    // A last parameter with `+` takes the rest of the path.
    let takes_rest = pattern.ends_with("+}");
    let segments: Vec<&str> =
        if takes_rest { path.splitn(patterns.len(), '/').collect() } else { path.split('/').collect() };
    if patterns.len() != segments.len() {
        return None;
    }
    let mut parameters = HashMap::new();
    for (pattern, segment) in patterns.into_iter().zip(segments) {
        match pattern.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) if !segment.is_empty() => {
                let value = percent_decode_str(segment).decode_utf8().ok()?;
                parameters.insert(name.trim_end_matches('+').to_owned(), value.into_owned());
            }
            None if pattern == segment => {}
            _ => return None,
        }
    }
    Some(parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_find_their_function() {
        let table = [
            ("POST /callbacks/demo/alipay", "Callback account=demo provider=alipay"),
            ("GET /callbacks/demo/paypal", "Callback account=demo provider=paypal"),
            ("PUT /callbacks/demo/alipay", "none"),
            ("POST /callbacks/demo", "none"),
            ("POST /callbacks//alipay", "none"),
            ("POST /callbacks/demo/alipay/", "none"),
            ("POST /callbacks/demo/alipay/a/b", "none"),
            ("GET /callbacks/demo/alipay/a/b", "Callback account=demo further=a/b provider=alipay"),
            ("GET /callbacks/demo/alipay/", "none"),
            ("POST /orders", "Orders"),
            ("GET /orders/a%2Fb", "Orders order_id=a/b"),
            ("GET /orders/%ff", "none"),
            ("GET /users/u/inbox", "Orders user=u"),
            ("GET /users/u/orders", "Orders user=u"),
            ("POST /tickets", "Orders"),
            ("GET /tickets", "none"),
        ];
        for (request, expected) in table {
            let (method, path) = request.split_once(' ').unwrap();
            let got = find(method, path).map_or("none".to_owned(), |route| {
                let mut words: Vec<String> =
                    route.path_parameters.iter().map(|(name, value)| format!(" {name}={value}")).collect();
                words.sort();
                format!("{:?}{}", route.target, words.concat())
            });
            assert_eq!(got, expected, "{request}");
        }
    }
}
