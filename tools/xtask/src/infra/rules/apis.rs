//! APIs: each lets through only so much.

use super::{Findings, Template};
use crate::infra::template::alternatives;

pub fn check(template: &Template, findings: &mut Findings) {
    for stage in template.of("AWS::ApiGatewayV2::Stage") {
        for limit in ["ThrottlingRateLimit", "ThrottlingBurstLimit"] {
            if alternatives(stage.at(&format!("/DefaultRouteSettings/{limit}"))).is_empty() {
                findings.push(format!("{}: has no `{limit}`", stage.id));
            }
        }
    }
    for api in template.of("AWS::ApiGatewayV2::Api") {
        let mut stages = template.of("AWS::ApiGatewayV2::Stage");
        if !stages.any(|stage| template.target(stage.at("/ApiId")).is_some_and(|have| have.id == api.id)) {
            findings.push(format!("{}: has no stage", api.id));
        }
    }
}
