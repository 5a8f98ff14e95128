//! Sentences for people, in each language.

use super::{EventKind, Locale, Money, Notification, Reason};

/// The sentence of a notification.
pub fn text(notification: &Notification, locale: Locale) -> String {
    let amount = notification.amount.as_ref();
    let total = notification.amount_is_cumulative;
    let id = &notification.subject.id;
    let sentence = match EventKind::from_name(&notification.kind) {
        Some(kind) => of_event(kind, total, locale),
        None => of_order(&notification.kind, locale),
    };
    let about = match locale {
        Locale::En => format!("{}: {sentence}", subject_en(notification)),
        Locale::ZhCn => format!("{}{id}:{sentence}", subject_zh(notification)),
    };
    let money = amount.map(|amount| with_money(amount, total, locale)).unwrap_or_default();
    let why = notification.reason.map(|reason| because(reason, locale)).unwrap_or_default();
    match locale {
        Locale::En => format!("{about}{money}{why}."),
        Locale::ZhCn => format!("{about}{money}{why}。"),
    }
}

fn subject_en(notification: &Notification) -> String {
    let name = match notification.subject.kind.name() {
        "order" => "Order",
        "mandate" => "Agreement",
        "transfer" => "Transfer",
        "merchant" => "Merchant",
        _ => "Card or wallet token",
    };
    format!("{name} {}", notification.subject.id)
}

fn subject_zh(notification: &Notification) -> &'static str {
    match notification.subject.kind.name() {
        "order" => "订单",
        "mandate" => "协议",
        "transfer" => "转账",
        "merchant" => "商户",
        _ => "卡片令牌",
    }
}

fn with_money(amount: &Money, total: bool, locale: Locale) -> String {
    let code = amount.currency().code();
    let major = amount.to_major_text();
    match (locale, total) {
        (Locale::En, false) => format!(", {major} {code}"),
        (Locale::En, true) => format!(", {major} {code} in total"),
        (Locale::ZhCn, false) => format!(",金额 {major} {code}"),
        (Locale::ZhCn, true) => format!(",累计 {major} {code}"),
    }
}

fn of_event(kind: EventKind, total: bool, locale: Locale) -> &'static str {
    let (en, zh_cn) = match kind {
        EventKind::PaymentPending => ("payment started", "支付处理中"),
        EventKind::PaymentAuthorized => ("payment authorized", "支付已授权"),
        EventKind::PaymentCaptured => ("payment received", "支付成功"),
        EventKind::PaymentFailed => ("payment failed", "支付失败"),
        EventKind::PaymentCancelled => ("payment cancelled", "支付已取消"),
        EventKind::PaymentExpired => ("payment expired", "支付已超时关闭"),
        EventKind::RefundPending => ("refund started", "退款处理中"),
        EventKind::RefundSucceeded if total => ("refunded", "退款成功"),
        EventKind::RefundSucceeded => ("refund completed", "退款成功"),
        EventKind::RefundFailed => ("refund failed", "退款失败"),
        EventKind::DisputeOpened => ("dispute opened", "发生争议"),
        EventKind::DisputeWon => ("dispute decided for the merchant", "争议已裁定商户胜诉"),
        EventKind::DisputeLost => ("dispute decided for the payer", "争议已裁定付款方胜诉"),
        EventKind::MandateSigned => ("in force", "已签约"),
        EventKind::MandateRevoked => ("ended", "已解约"),
        EventKind::TransferSucceeded => ("completed", "转账成功"),
        EventKind::TransferFailed => ("failed", "转账失败"),
        EventKind::MerchantApproved => ("approved", "审核通过"),
        EventKind::MerchantRejected => ("rejected", "审核未通过"),
        EventKind::TokenUpdated => ("updated", "已更新"),
        EventKind::TokenRevoked => ("no longer valid", "已失效"),
    };
    match locale {
        Locale::En => en,
        Locale::ZhCn => zh_cn,
    }
}

fn of_order(kind: &str, locale: Locale) -> &'static str {
    let (en, zh_cn) = match kind {
        "order.overpaid" => ("paid more than once, a refund is due", "重复支付,待退款"),
        "order.late_paid" => ("paid too late", "逾期支付"),
        _ => ("under review", "待人工核实"),
    };
    match locale {
        Locale::En => en,
        Locale::ZhCn => zh_cn,
    }
}

fn because(reason: Reason, locale: Locale) -> &'static str {
    let (en, zh_cn) = match reason {
        Reason::AmountMismatch => (" (the amount is not the expected one)", "(金额与订单不符)"),
        Reason::AmountMissing => (" (the amount is not known)", "(支付金额未知)"),
        Reason::CurrencyMismatch => (" (the currency is not the expected one)", "(币种与订单不符)"),
        Reason::RefundExceedsCaptured => (" (more was refunded than paid)", "(退款超过支付金额)"),
        Reason::RefundAmountMissing => (" (the refunded amount is not known)", "(退款金额未知)"),
        Reason::SharedReference => (" (another order claims the same payment)", "(同一笔支付对应多个订单)"),
        Reason::SurplusTransaction => (" (a further payment for the same order)", "(同一订单多次支付)"),
        Reason::PaidAfterExpiry => (" (the order had expired)", "(订单已过期)"),
        Reason::PaidAfterClosing => (" (the payment had been closed)", "(支付已关闭)"),
    };
    match locale {
        Locale::En => en,
        Locale::ZhCn => zh_cn,
    }
}
