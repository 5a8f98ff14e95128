//! Every family of messages, signed by the sandbox, in the uniform vocabulary.

use paybell_shared::providers::MappingError;

use super::{Bench, line};

/// A row is: content `=>` events, one line each, or `!field` for content that cannot be read.
fn check(provider: &str, rows: &[(&str, &[&str])]) {
    let bench = Bench::of(provider);
    for (content, expected) in rows {
        let outcome = match bench.events(&bench.sign(whole(provider, content))) {
            Ok(events) => events.iter().map(line).collect(),
            Err(MappingError::Field { field }) => vec![format!("!{field}")],
            Err(_) => vec!["!".to_owned()],
        };
        assert_eq!(outcome, *expected, "{provider}: {content}");
    }
}

/// Adds what every message of the provider has.
fn whole(provider: &str, content: &str) -> String {
    let content = content.trim().trim_start_matches('{');
    match provider {
        "alipay" => format!(
            r#"{{"notify_id":"N1","app_id":"9021000000000001","seller_id":"2088000000000001","out_trade_no":"O1","trade_no":"T1",{content}"#
        ),
        "unionpay" => format!(
            r#"{{"version":"5.1.0","signMethod":"01","merId":"777290000000001","txnTime":"20240520100012","currencyCode":"156",{content}"#
        ),
        _ => format!("{{{content}"),
    }
}

#[test]
fn alipay() {
    let trade = r#""notify_type":"trade_status_sync","total_amount":"19.90""#;
    let with = |rest: &str| format!("{{{trade},{rest}}}");
    let rows: Vec<(String, Vec<&str>)> = vec![
        (with(r#""trade_status":"WAIT_BUYER_PAY""#), vec!["payment.pending O1 transaction=T1 19.90 CNY"]),
        (with(r#""trade_status":"TRADE_SUCCESS""#), vec!["payment.captured O1 transaction=T1 19.90 CNY"]),
        (with(r#""trade_status":"TRADE_SUCCESS","trans_currency":"JPY""#), vec!["!total_amount"]),
        (
            with(r#""trade_status":"TRADE_FINISHED","refund_fee":"5.00","gmt_refund":"2024-05-20 10:00:12""#),
            vec![
                "payment.captured O1 transaction=T1 19.90 CNY",
                "refund.succeeded O1 transaction=T1 refund=T1 5.00 CNY so far",
            ],
        ),
        (
            with(r#""trade_status":"TRADE_CLOSED","refund_fee":"19.90","gmt_refund":"2024-05-20 10:00:12","out_biz_no":"R1""#),
            vec!["refund.succeeded O1 transaction=T1 refund=R1 19.90 CNY so far"],
        ),
        (with(r#""trade_status":"TRADE_CLOSED""#), vec!["payment.expired O1 transaction=T1 19.90 CNY"]),
        (with(r#""trade_status":"TRADE_NEW""#), vec!["!trade_status"]),
        (
            r#"{"notify_type":"trade_status_sync","trade_status":"TRADE_SUCCESS","total_amount":"19.905"}"#.to_owned(),
            vec!["!total_amount"],
        ),
        (r#"{"notify_type":"dut_user_sign","status":"NORMAL","agreement_no":"A1"}"#.to_owned(), vec!["mandate.signed A1"]),
        (r#"{"notify_type":"dut_user_sign","status":"TEMP","agreement_no":"A1"}"#.to_owned(), vec![]),
        (r#"{"notify_type":"dut_user_unsign","status":"UNSIGN","agreement_no":"A1"}"#.to_owned(), vec!["mandate.revoked A1"]),
        (
            r#"{"notify_type":"fund_auth_freeze","operation_type":"FREEZE","status":"SUCCESS","out_order_no":"P1","auth_no":"F1","amount":"8.00"}"#.to_owned(),
            vec!["payment.authorized P1 transaction=F1 8.00 CNY"],
        ),
        (
            r#"{"notify_type":"fund_auth_unfreeze","operation_type":"UNFREEZE","status":"SUCCESS","out_order_no":"P1","auth_no":"F1","amount":"8.00","rest_amount":"0.00"}"#.to_owned(),
            vec!["payment.cancelled P1 transaction=F1 8.00 CNY"],
        ),
        (
            r#"{"notify_type":"fund_auth_unfreeze","operation_type":"UNFREEZE","status":"SUCCESS","out_order_no":"P1","auth_no":"F1","amount":"3.00","rest_amount":"5.00"}"#.to_owned(),
            vec![],
        ),
        (
            r#"{"out_merge_no":"M1","merge_pay_status":"FINISHED","order_detail_results":[{"out_trade_no":"O1","trade_no":"T1","total_amount":"1.00"},{"out_trade_no":"O2","trade_no":"T2","success":false}]}"#.to_owned(),
            vec!["payment.captured O1 transaction=T1 1.00 CNY", "payment.failed O2 transaction=T2"],
        ),
        (
            r#"{"msg_method":"ant.merchant.expand.indirect.zft.passed","biz_content":{"order_id":"Z1","smid":"S1","external_id":"E1"}}"#.to_owned(),
            vec!["merchant.approved Z1 transaction=S1"],
        ),
        (
            r#"{"msg_method":"ant.merchant.expand.indirect.zft.rejected","biz_content":{"order_id":"Z1","external_id":"E1","reason":"x"}}"#.to_owned(),
            vec!["merchant.rejected Z1"],
        ),
        (
            r#"{"msg_method":"alipay.trade.refund.depositback.completed","biz_content":{"trade_no":"T1","out_trade_no":"O1","out_request_no":"R1","dback_status":"S","dback_amount":"10.00"}}"#.to_owned(),
            vec!["refund.succeeded O1 transaction=T1 refund=R1 10.00 CNY"],
        ),
        (
            r#"{"msg_method":"alipay.trade.order.settle.notify","biz_content":{"settle_no":"S1","royalty_detail_list":[{"state":"SUCCESS","amount":"1.00","detail_id":"D1"},{"state":"FAIL","amount":"2.00","error_code":"E"},{"state":"PROCESSING"}]}}"#.to_owned(),
            vec!["transfer.succeeded D1 transaction=S1 1.00 CNY", "transfer.failed S1:1 transaction=S1 2.00 CNY"],
        ),
        (r#"{"msg_method":"alipay.merchant.tradecomplain.changed","biz_content":{}}"#.to_owned(), vec![]),
        (r#"{"notify_type":"something_new"}"#.to_owned(), vec![]),
    ];
    for (content, expected) in &rows {
        check("alipay", &[(content, expected)]);
    }
}

#[test]
fn wechat_pay_payments() {
    let rows: &[(&str, &str, &[&str])] = &[
        (
            "TRANSACTION.SUCCESS",
            r#"{"out_trade_no":"O1","transaction_id":"T1","trade_state":"SUCCESS","amount":{"total":100,"payer_total":90,"currency":"CNY"}}"#,
            &["payment.captured O1 transaction=T1 1.00 CNY"],
        ),
        (
            "TRANSACTION.SUCCESS",
            r#"{"out_trade_no":"O1","transaction_id":"T1","trade_state":"SUCCESS"}"#,
            &["!/amount/total"],
        ),
        ("TRANSACTION.SUCCESS", r#"{"out_trade_no":"O1","transaction_id":"T1"}"#, &["!/trade_state"]),
        ("TRANSACTION.FAIL", r#"{"out_trade_no":"O1","trade_state":"PAYERROR"}"#, &["payment.failed O1"]),
        (
            "TRANSACTION.SUCCESS",
            r#"{"combine_out_trade_no":"C1","sub_orders":[{"out_trade_no":"O1","transaction_id":"T1","trade_state":"SUCCESS","amount":{"total_amount":10,"currency":"CNY"}},{"out_trade_no":"O2","transaction_id":"T2","trade_state":"CLOSED"}]}"#,
            &["payment.captured O1 transaction=T1 0.10 CNY", "payment.expired O2 transaction=T2"],
        ),
        (
            "TRANSACTION.SUCCESS",
            r#"{"transaction_id":"T1","order_id":"X","out_order_no":"P1","receiver":{"type":"MERCHANT_ID","account":"1","amount":888}}"#,
            &["transfer.succeeded P1 transaction=T1 8.88 CNY"],
        ),
        (
            "PROFITSHARING.RETURN",
            r#"{"transaction_id":"T1","out_order_no":"P1","receiver":{"amount":888}}"#,
            &["transfer.succeeded P1:return transaction=T1 8.88 CNY"],
        ),
        (
            "REFUND.SUCCESS",
            r#"{"out_trade_no":"O1","transaction_id":"T1","refund_id":"R1","refund_status":"SUCCESS","amount":{"total":100,"refund":40}}"#,
            &["refund.succeeded O1 transaction=T1 refund=R1 0.40 CNY"],
        ),
        (
            "REFUND.ABNORMAL",
            r#"{"transaction_id":"T1","refund_id":"R1"}"#,
            &["refund.failed transaction=T1 refund=R1 ~wechatpay_v3:T1"],
        ),
        (
            "REFUND.SUCCESS",
            r#"{"out_trade_no":"O1","transaction_id":"T1","refund_id":"R1"}"#,
            &["!/amount/refund"],
        ),
    ];
    for (event_type, resource, expected) in rows {
        check("wechatpay_v3", &[(&wechat_pay_envelope(event_type, resource), expected)]);
    }
}

#[test]
fn wechat_pay_agreements_and_transfers() {
    let rows: &[(&str, &str, &[&str])] = &[
        (
            "PAYSCORE.USER_PAID",
            r#"{"out_order_no":"O1","order_id":"S1","total_amount":400,"collection":{"paid_amount":390,"details":[{"transaction_id":"T1"}]}}"#,
            &["payment.captured O1 transaction=S1 3.90 CNY ~wechatpay_v3:T1"],
        ),
        (
            "PAYSCORE.USER_CONFIRM",
            r#"{"out_order_no":"O1","order_id":"S1"}"#,
            &["payment.authorized O1 transaction=S1"],
        ),
        ("PAYSCORE.USER_OPEN_SERVICE", r#"{"service_id":"5","openid":"u"}"#, &["mandate.signed 5:u"]),
        ("PAYSCORE.USER_CLOSE_SERVICE", r#"{"service_id":"5","openid":"u"}"#, &["mandate.revoked 5:u"]),
        ("ENTRUST.SIGNING", r#"{"contract_id":"W1","out_contract_code":"1"}"#, &["mandate.signed W1"]),
        ("ECOMMERCE_ENTRUST.TERMINATE", r#"{"contract_id":"W1"}"#, &["mandate.revoked W1"]),
        (
            "ABNORMAL_FUND_PROCESSING.TRANSFER.SUCCESS",
            r#"{"receipt_id":"X1","out_instruction_no":"B1","transfer_amount":{"total":200,"currency":"CNY"}}"#,
            &["transfer.succeeded B1 transaction=X1 2.00 CNY"],
        ),
        (
            "MCHTRANSFER.BILL.FINISHED",
            r#"{"out_bill_no":"B1","transfer_bill_no":"X1","state":"CANCELLED","transfer_amount":2000}"#,
            &["transfer.failed B1 transaction=X1 20.00 CNY"],
        ),
        (
            "MCHTRANSFER.BATCH.FINISHED",
            r#"{"out_batch_no":"B1","batch_id":"X1","success_num":1,"success_amount":150,"fail_num":1,"fail_amount":50}"#,
            &["transfer.succeeded B1 transaction=X1 1.50 CNY", "transfer.failed B1 transaction=X1 0.50 CNY"],
        ),
        (
            "MCHTRANSFER.BATCH.CLOSED",
            r#"{"out_batch_no":"B1","batch_id":"X1"}"#,
            &["transfer.failed B1 transaction=X1"],
        ),
        ("COUPON.USE", r#"{"coupon_id":"1"}"#, &[]),
        ("SECURITY_ECHO.SUCCESS", "{}", &[]),
    ];
    for (event_type, resource, expected) in rows {
        check("wechatpay_v3", &[(&wechat_pay_envelope(event_type, resource), expected)]);
    }
}

#[test]
fn unionpay() {
    let first = r#""orderId":"O1","queryId":"Q1","txnAmt":"100""#;
    let later = r#""orderId":"O2","queryId":"Q2","origQryId":"Q1","txnAmt":"100""#;
    let rows: Vec<(&str, &str, &str, Vec<&str>)> = vec![
        ("01", "00", first, vec!["payment.captured O1 transaction=Q1 1.00 CNY ~unionpay:Q1"]),
        ("01", "A6", first, vec!["payment.pending O1 transaction=Q1 1.00 CNY ~unionpay:Q1"]),
        ("01", "51", r#""orderId":"O1""#, vec!["payment.failed O1"]),
        ("01", "00", r#""orderId":"O1","queryId":"Q1""#, vec!["!txnAmt"]),
        ("01", "00", r#""orderId":"O1","txnAmt":"100""#, vec!["!queryId"]),
        ("02", "00", first, vec!["payment.authorized O1 transaction=Q1 1.00 CNY ~unionpay:Q1"]),
        ("03", "00", later, vec!["payment.captured transaction=Q2 1.00 CNY ~unionpay:Q1 ~unionpay:Q2"]),
        ("04", "00", later, vec!["refund.succeeded transaction=Q1 refund=Q2 1.00 CNY ~unionpay:Q1"]),
        ("31", "00", later, vec!["refund.succeeded transaction=Q1 refund=Q2 1.00 CNY ~unionpay:Q1"]),
        ("32", "00", later, vec!["payment.cancelled transaction=Q1 1.00 CNY ~unionpay:Q1"]),
        ("32", "51", later, vec![]),
        ("04", "00", first, vec!["!origQryId"]),
        ("99", "00", first, vec![]),
    ];
    for (kind, response, rest, expected) in &rows {
        let content = format!(r#"{{"txnType":"{kind}","respCode":"{response}",{rest}}}"#);
        check("unionpay", &[(&content, expected)]);
    }
}

#[test]
fn paypal_payments() {
    let rows: &[(&str, &str, &[&str])] = &[
        (
            "CHECKOUT.ORDER.APPROVED",
            r#"{"id":"P1","purchase_units":[{"custom_id":"O1","amount":{"currency_code":"USD","value":"10.00"}}]}"#,
            &["payment.pending O1 10.00 USD ~paypal:P1"],
        ),
        (
            "CHECKOUT.ORDER.COMPLETED",
            r#"{"id":"P1","purchase_units":[{"custom_id":"O1","payments":{"captures":[{"id":"C1"}]}},{"reference_id":"x"}]}"#,
            &["payment.pending O1 ~paypal:C1"],
        ),
        (
            "PAYMENT.AUTHORIZATION.CREATED",
            r#"{"id":"A1","invoice_id":"O1","amount":{"currency_code":"USD","value":"10.00"}}"#,
            &["payment.authorized O1 transaction=A1 10.00 USD ~paypal:A1"],
        ),
        (
            "PAYMENT.CAPTURE.COMPLETED",
            r#"{"id":"C1","custom_id":"O1","amount":{"currency_code":"JPY","value":"1000"},"supplementary_data":{"related_ids":{"order_id":"P1","authorization_id":"A1"}}}"#,
            &["payment.captured O1 transaction=C1 1000 JPY ~paypal:A1 ~paypal:C1 ~paypal:P1"],
        ),
        (
            "PAYMENT.CAPTURE.COMPLETED",
            r#"{"id":"C1","custom_id":"O1"}"#,
            &["!/resource/amount/currency_code"],
        ),
        (
            "PAYMENT.CAPTURE.COMPLETED",
            r#"{"id":"C1","custom_id":"O1","amount":{"currency_code":"USD","value":"1.005"}}"#,
            &["!/resource/amount"],
        ),
        (
            "PAYMENT.CAPTURE.REVERSED",
            r#"{"id":"R1","invoice_id":"OTHER","amount":{"currency_code":"USD","value":"4.00"},"links":[{"rel":"self","href":"https://x/v2/payments/refunds/R1"},{"rel":"up","href":"https://x/v2/payments/captures/C1"}]}"#,
            &["refund.succeeded transaction=C1 refund=R1 4.00 USD ~paypal:C1"],
        ),
        (
            "PAYMENT.SALE.COMPLETED",
            r#"{"id":"S1","custom":"O1","parent_payment":"PAY-1","amount":{"total":"10.00","currency":"USD"}}"#,
            &["payment.captured O1 transaction=S1 10.00 USD ~paypal:PAY-1 ~paypal:S1"],
        ),
        (
            "PAYMENT.SALE.COMPLETED",
            r#"{"id":"S1","custom":"SUB","billing_agreement_id":"I-1","amount":{"total":"10.00","currency":"USD"}}"#,
            &["payment.captured transaction=S1 10.00 USD ~paypal:S1"],
        ),
        (
            "PAYMENT.SALE.REVERSED",
            r#"{"id":"R1","sale_id":"S1","amount":{"total":"-0.49","currency":"USD"}}"#,
            &["refund.succeeded transaction=S1 refund=R1 0.49 USD ~paypal:S1"],
        ),
    ];
    for (event_type, resource, expected) in rows {
        check("paypal", &[(&paypal_envelope(event_type, resource), expected)]);
    }
}

#[test]
fn paypal_disputes_and_the_rest() {
    let rows: &[(&str, &str, &[&str])] = &[
        (
            "CUSTOMER.DISPUTE.CREATED",
            r#"{"dispute_id":"PP-D-1","status":"OPEN","disputed_transactions":[{"seller_transaction_id":"C1"}],"dispute_amount":{"currency_code":"USD","value":"3.00"}}"#,
            &["dispute.opened transaction=C1 dispute=PP-D-1 3.00 USD ~paypal:C1"],
        ),
        (
            "CUSTOMER.DISPUTE.RESOLVED",
            r#"{"dispute_id":"PP-D-1","disputed_transactions":[{"seller_transaction_id":"C1"}],"dispute_outcome":{"outcome_code":"RESOLVED_BUYER_FAVOUR"}}"#,
            &["dispute.lost transaction=C1 dispute=PP-D-1 ~paypal:C1"],
        ),
        (
            "CUSTOMER.DISPUTE.RESOLVED",
            r#"{"dispute_id":"PP-D-1","disputed_transactions":[{"seller_transaction_id":"C1"}],"dispute_outcome":{"outcome_code":"NEW"}}"#,
            &["!/resource/dispute_outcome/outcome_code"],
        ),
        ("BILLING.SUBSCRIPTION.ACTIVATED", r#"{"id":"I-1"}"#, &["mandate.signed I-1"]),
        ("BILLING.SUBSCRIPTION.SUSPENDED", r#"{"id":"I-1"}"#, &["mandate.revoked I-1"]),
        ("BILLING.PLAN.CREATED", r#"{"id":"P-1"}"#, &[]),
        (
            "PAYMENT.PAYOUTS-ITEM.SUCCEEDED",
            r#"{"payout_item_id":"I1","transaction_id":"X1","payout_item":{"sender_item_id":"M1","amount":{"currency":"USD","value":"7.00"}}}"#,
            &["transfer.succeeded M1 transaction=X1 7.00 USD"],
        ),
        (
            "PAYMENT.PAYOUTS-ITEM.RETURNED",
            r#"{"payout_item_id":"I1"}"#,
            &["transfer.failed I1 transaction=I1"],
        ),
        ("MERCHANT.ONBOARDING.COMPLETED", r#"{"merchant_id":"M1"}"#, &["merchant.approved M1"]),
        ("SOMETHING.NEW", "{}", &[]),
    ];
    for (event_type, resource, expected) in rows {
        check("paypal", &[(&paypal_envelope(event_type, resource), expected)]);
    }
}

fn wechat_pay_envelope(event_type: &str, resource: &str) -> String {
    format!(
        r#"{{"event_type":"{event_type}","create_time":"2024-05-20T10:00:12+08:00","resource":{resource}}}"#
    )
}

fn paypal_envelope(event_type: &str, resource: &str) -> String {
    format!(
        r#"{{"id":"WH-1","event_type":"{event_type}","create_time":"2024-05-20T02:00:12Z","resource":{resource}}}"#
    )
}
