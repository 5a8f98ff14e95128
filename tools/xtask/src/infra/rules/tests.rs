//! Every rule lets a good template pass, and finds what was spoilt in it.

use super::findings;
use crate::infra::sources::{Code, Table};
use crate::infra::template::Template;

const GOOD: &str = include_str!("good.yaml");

/// The code that the good template belongs to.
fn code() -> Code {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let orders = Table {
        keys: vec![pair("pk", "hash")],
        index: Some("by_time".to_owned()),
        index_keys: vec![pair("at_ms", "hash")],
        projection: Some("keysonly".to_owned()),
        types: [pair("pk", "S"), pair("at_ms", "N")].into(),
        stream: Some("newandoldimages".to_owned()),
        expires_at: Some("expires_at".to_owned()),
    };
    Code {
        functions: names(&["apply"]),
        variables: names(&["PAYBELL_STAGE", "PAYBELL_ORDERS_TABLE"]),
        metrics: [("apply".to_owned(), names(&["applied", "retried"]))].into(),
        tables: [("orders".to_owned(), orders)].into(),
    }
}

fn found(text: &str, code: &Code) -> Vec<String> {
    findings(&Template::parse(text).unwrap(), code)
}

/// Expects that the good template with one text replaced has a finding that says this.
#[track_caller]
fn check(rows: &[(&str, &str, &str)]) {
    assert_eq!(found(GOOD, &code()), Vec::<String>::new());
    for (from, to, expected) in rows {
        assert!(GOOD.contains(from), "the good template lacks {from:?}");
        let found = found(&GOOD.replacen(from, to, 1), &code());
        assert!(found.iter().any(|finding| finding.contains(expected)), "{from:?} as {to:?}: {found:#?}");
    }
}

#[test]
fn s4_queues_lose_nothing() {
    check(&[
        (
            "VisibilityTimeout: 180",
            "VisibilityTimeout: 179",
            "CallbacksQueue: a visibility timeout of 179 s is below 6 × 30 s",
        ),
        ("      VisibilityTimeout: 180\n", "", "visibility timeout of 30 s"),
        (
            "FunctionResponseTypes: [ReportBatchItemFailures]",
            "BatchSize: 10",
            "CallbacksMapping: does not report",
        ),
        ("maxReceiveCount: 110", "maxReceiveCount: 109", "109 receives do not outlast"),
        ("deadLetterTargetArn: !GetAtt DeadLetters.Arn, ", "", "CallbacksQueue: has no dead-letter queue"),
        (
            "deadLetterTargetArn: !GetAtt DeadLetters.Arn",
            "deadLetterTargetArn: !GetAtt CallbacksQueue.Arn",
            "has no dead-letter queue",
        ),
        (
            "MaximumConcurrency: 40",
            "MaximumConcurrency: 50",
            "CallbacksMapping: may poll more than ApplyFunction",
        ),
        (
            "MessageRetentionPeriod: 1209600\n  ApplyFunction",
            "MessageRetentionPeriod: 345600\n  ApplyFunction",
            "DeadLetters: does not keep",
        ),
        (
            "EventSourceArn: !GetAtt CallbacksQueue.Arn",
            "EventSourceArn: !GetAtt Elsewhere.Arn",
            "not clear what it takes",
        ),
        (
            "EventSourceArn: !GetAtt CallbacksQueue.Arn",
            "EventSourceArn: !GetAtt DeadLetters.Arn",
            "CallbacksQueue: neither does anything take",
        ),
    ]);
}

#[test]
fn the_stream_loses_nothing() {
    check(&[
        (
            "DestinationConfig: {OnFailure: {Destination: !GetAtt DeadLetters.Arn}}",
            "BatchSize: 1",
            "StreamMapping: what fails for good",
        ),
        ("BisectBatchOnFunctionError: true", "BatchSize: 1", "is not split"),
        ("MaximumRetryAttempts: -1", "MaximumRetryAttempts: 3", "counts attempts"),
        ("MaximumRecordAgeInSeconds: 21600", "MaximumRecordAgeInSeconds: 14399", "gives up after 14399 s"),
        ("TRIM_HORIZON", "LATEST", "would leave out"),
    ]);
}

#[test]
fn policies_name_what_they_allow() {
    check(&[
        ("[sqs:SendMessage]", "[\"sqs:*\"]", "`sqs:*` does not name its actions"),
        ("[sqs:SendMessage]", "\"*\"", "`*` does not name its actions"),
        (
            "[sqs:SendMessage], Resource: !GetAtt DeadLetters.Arn",
            "[sqs:SendMessage], Resource: \"*\"",
            "allowed on `*`",
        ),
        (
            "Resource: !GetAtt OrdersTable.Arn",
            "Resource: !Sub \"${OrdersTable.Arn}/index/*\"",
            "names no single thing",
        ),
        (
            "Resource: !GetAtt OrdersTable.Arn",
            "Resource: [!GetAtt OrdersTable.Arn, !Sub \"arn:table/paybell-*\"]",
            "`arn:table/paybell-*`",
        ),
        ("Resource: !GetAtt OrdersTable.Arn", "Condition: {}", "allowed on nothing that is named"),
        (":log-stream:*", ":*", "names no single thing"),
        ("[logs:PutLogEvents]", "[logs:PutLogEvents, logs:DeleteLogStream]", "logs:DeleteLogStream"),
        (
            "[xray:PutTraceSegments]",
            "[xray:PutTraceSegments, sqs:SendMessage]",
            "sqs:SendMessage` is allowed on `*`",
        ),
        (
            "Effect: Allow, Action: [sqs:SendMessage], Resource",
            "Effect: Allow, NotAction: [sqs:SendMessage], Resource",
            "`NotAction`",
        ),
        ("lambda.amazonaws.com", "ec2.amazonaws.com", "ApplyRole: may be taken on by others"),
        ("Principal: {Service: lambda.amazonaws.com}", "Principal: \"*\"", "is allowed to everybody"),
        (
            "Principal: {Service: lambda.amazonaws.com}",
            "Principal: {Service: lambda.amazonaws.com, AWS: \"1\"}",
            "may be taken on by others",
        ),
        ("      Policies:\n", "      ManagedPolicyArns: [a]\n      Policies:\n", "managed policy"),
        (
            "      Timeout: 30\n",
            "      Timeout: 30\n      Policies: [AWSLambdaExecute]\n",
            "has policies beside its role",
        ),
        ("Principal: apigateway.amazonaws.com", "Principal: \"*\"", "HttpPermission: lets others"),
        (":${HttpApi}/*", ":*", "HttpPermission: lets others"),
        (
            "{Effect: Allow, Action: [kms:Decrypt, kms:GenerateDataKey], Resource: !Ref KmsKeyArn}",
            "{Effect: Allow, Action: [\"kms:*\"], Resource: !Ref KmsKeyArn}",
            "`kms:*`",
        ),
    ]);
}

#[test]
fn functions_have_what_they_need() {
    check(&[
        (
            "paybell-${Stage}-apply\"\n      CodeUri",
            "paybell-${Stage}-other\"\n      CodeUri",
            "functions/apply is not deployed",
        ),
        (
            "paybell-${Stage}-apply\"\n      CodeUri",
            "paybell-${Stage}-other\"\n      CodeUri",
            "there is no functions/other",
        ),
        ("lambda/apply/", "lambda/notify/", "its code is not that of its name"),
        ("Runtime: provided.al2023", "Runtime: provided.al2", "Amazon Linux 2023"),
        ("Tracing: Active", "Tracing: PassThrough", "is not traced"),
        ("AutoPublishAlias: live", "AutoPublishAlias: new", "alias"),
        (
            "[HasReservedConcurrency, 50, !Ref AWS::NoValue]",
            "[HasReservedConcurrency, !Ref AWS::NoValue, !Ref AWS::NoValue]",
            "no concurrency of its own",
        ),
        ("Alarms: [!Ref ApplyErrors]", "Alarms: [!Ref ApplyLogs]", "takes a bad deployment back"),
        ("LogGroup: !Ref ApplyLogs", "LogFormat: JSON", "log group of its own"),
        (
            "/aws/lambda/paybell-${Stage}-apply\", R",
            "/aws/lambda/paybell-${Stage}-appl\", R",
            "log group of its own",
        ),
        (", RetentionInDays: !Ref Days", "", "ApplyLogs: keeps logs for ever"),
        ("Role: !GetAtt ApplyRole.Arn", "Role: arn:shared", "no role of its own"),
        ("        PAYBELL_STAGE: !Ref Stage\n", "", "the code reads `PAYBELL_STAGE`, which is not set"),
        (
            "        PAYBELL_STAGE: !Ref Stage\n",
            "        PAYBELL_STAGE: !Ref Stage\n        PAYBELL_X: a\n",
            "`PAYBELL_X` is set, and no code",
        ),
        ("PAYBELL_STAGE: !Ref Stage", "PAYBELL_STAGE: \"\"", "`PAYBELL_STAGE` has no value"),
    ]);
}

#[test]
fn tables_are_the_codes_and_safe() {
    check(&[
        ("paybell-${Stage}-orders", "paybell-${Stage}-order", "the code has no table `order`"),
        ("paybell-${Stage}-orders", "paybell-${Stage}-order", "the code's table `orders` is missing"),
        ("PAY_PER_REQUEST", "PROVISIONED", "is not on demand"),
        ("PointInTimeRecoveryEnabled: true", "PointInTimeRecoveryEnabled: false", "point in time"),
        ("!If [KeepsData, true, false]", "false", "may be deleted by mistake"),
        ("{AttributeName: pk, KeyType: HASH}", "{AttributeName: id, KeyType: HASH}", "OrdersTable: is Table"),
        ("AttributeType: N", "AttributeType: S", "OrdersTable: is Table"),
        ("IndexName: by_time", "IndexName: by_user", "OrdersTable: is Table"),
        (
            "{AttributeName: at_ms, KeyType: HASH}",
            "{AttributeName: pk, KeyType: HASH}",
            "OrdersTable: is Table",
        ),
        ("KEYS_ONLY", "ALL", "OrdersTable: is Table"),
        ("NEW_AND_OLD_IMAGES", "NEW_IMAGE", "OrdersTable: is Table"),
        (
            "AttributeName: expires_at, Enabled: true",
            "AttributeName: expires_at, Enabled: false",
            "OrdersTable: is Table",
        ),
    ]);
}

#[test]
fn m5_s12_alarms_watch_what_people_must_look_at_and_nothing_else() {
    check(&[
        (
            "AlarmActions: !If [HasAlarmEmail, [!Ref Topic], !Ref AWS::NoValue]",
            "AlarmActions: []",
            "QueueAge: tells nobody",
        ),
        ("      TreatMissingData: notBreaching\n", "", "sounds when there is nothing"),
        (
            "!GetAtt CallbacksQueue.QueueName",
            "!GetAtt DeadLetters.QueueName",
            "CallbacksQueue: no alarm watches its age or depth",
        ),
        (
            "ApproximateNumberOfMessagesVisible",
            "NumberOfMessagesSent",
            "DeadLetters: alarms do not watch both",
        ),
        ("MetricName: Errors", "MetricName: Duration", "no alarm watches its errors"),
        (
            "!Ref KmsKeyArn, !Ref AWS::NoValue]}",
            "alias/aws/sns, alias/aws/sns]}",
            "Topic: is encrypted with a key",
        ),
        ("MetricName: Throttles", "MetricName: Duration", "no alarm watches its throttles"),
        ("MetricName: retried", "MetricName: tired", "Retried: `apply` emits no `tired`"),
        ("MetricName: retried", "MetricName: applied", "apply: no alarm watches its `retried`"),
        ("Value: apply}", "Value: notify}", "`notify` emits no `retried`"),
        ("{Name: stage, Value: !Ref Stage}, ", "", "other dimensions"),
        ("\"applied\"", "\"lied\"", "Dashboard: `apply` emits no `lied`"),
        (
            "\"FunctionName\", \"paybell-${Stage}-apply\"",
            "\"FunctionName\", \"paybell-${Stage}-x\"",
            "there is no FunctionName",
        ),
        (
            "\"QueueName\", \"paybell-${Stage}-callbacks\"",
            "\"QueueName\", \"callbacks\"",
            "there is no QueueName",
        ),
        (
            "[\"AWS/SQS\", \"Age\", \"QueueName\", \"paybell-${Stage}-callbacks\"]",
            "[\"AWS/SQS\"]",
            "is no metric",
        ),
        ("{\"widgets\": [", "{\"widgets\": [[", "is no JSON"),
    ]);
}

#[test]
fn apis_let_through_only_so_much() {
    check(&[
        ("ThrottlingRateLimit: !Ref Rate, ", "", "HttpStage: has no `ThrottlingRateLimit`"),
        (", ThrottlingBurstLimit: 5", "", "HttpStage: has no `ThrottlingBurstLimit`"),
        ("ApiId: !Ref HttpApi", "ApiId: !Ref OtherApi", "HttpApi: has no stage"),
    ]);
}
