//! All providers by name: the built-in ones and those that a deployment's configuration adds.

use std::sync::LazyLock;

use super::Provider;
use super::described::described;
use crate::callback::{UnixSeconds, Verified};
use crate::domain::Reference;

/// All providers by name.
#[derive(Default)]
pub struct Registry {
    configured: Vec<&'static Provider>,
}

/// One line for each built-in provider; descriptions are read once, at the first use.
// Shortest line each, so that adding one changes one line.
#[rustfmt::skip]
static BUILT_IN: LazyLock<Vec<&'static Provider>> = LazyLock::new(|| vec![
    &super::adapay::PROVIDER,
    described("adyen", include_str!("adyen.toml")),
    described("airwallex", include_str!("airwallex.toml")),
    super::alchemy::provider(),
    &super::alipay::PROVIDER,
    &super::alipay_global::PROVIDER,
    described("allinpay", include_str!("allinpay.toml")),
    &super::apple_app_store_v2::PROVIDER,
    &super::apple_pay_merchant_token::PROVIDER,
    &super::apple_pay_token::PROVIDER,
    super::authorize_net::provider(),
    &super::aws_sns::PROVIDER,
    described("binance_pay", include_str!("binance_pay.toml")),
    described("bitpay", include_str!("bitpay.toml")),
    &super::braintree::PROVIDER,
    described("btcpay", include_str!("btcpay.toml")),
    described("cashfree", include_str!("cashfree.toml")),
    described("checkout_com", include_str!("checkout_com.toml")),
    super::circle::provider(),
    &super::coinbase_cdp_hook0::PROVIDER,
    described("coinbase_commerce", include_str!("coinbase_commerce.toml")),
    super::coinify::provider(),
    super::coinspaid::provider(),
    described("epay", include_str!("epay.toml")),
    described("flutterwave", include_str!("flutterwave.toml")),
    described("github_style", concat!(include_str!("github_style.toml"), include_str!("described/vocabulary.toml"))),
    described("gocardless", include_str!("gocardless.toml")),
    &super::google_pay::PROVIDER,
    &super::google_play_rtdn::PROVIDER,
    &super::google_wallet::PROVIDER,
    &super::huifu::PROVIDER,
    described("hyperswitch", include_str!("hyperswitch.toml")),
    described("lemon_squeezy", include_str!("lemon_squeezy.toml")),
    described("lianlian", include_str!("lianlian.toml")),
    described("mercadopago", include_str!("mercadopago.toml")),
    described("midtrans", include_str!("midtrans.toml")),
    described("mollie", include_str!("mollie.toml")),
    super::moralis::provider(),
    &super::nowpayments::PROVIDER,
    described("paddle", include_str!("paddle.toml")),
    &super::paddle_classic::PROVIDER,
    &super::paypal::PROVIDER,
    described("paystack", include_str!("paystack.toml")),
    &super::paytm::PROVIDER,
    described("phonepe_v2", include_str!("phonepe_v2.toml")),
    &super::pingpp::PROVIDER,
    super::polar::provider(),
    &super::quicknode::PROVIDER,
    described("razorpay", include_str!("razorpay.toml")),
    described("revolut", include_str!("revolut.toml")),
    &super::rfc9421::PROVIDER,
    super::shopify::provider(),
    &super::shouqianba::PROVIDER,
    described("square", include_str!("square.toml")),
    described("standard_webhooks", concat!(include_str!("standard_webhooks.toml"), include_str!("described/vocabulary.toml"))),
    super::stripe::provider(),
    described("svix", concat!(include_str!("svix.toml"), include_str!("described/vocabulary.toml"))),
    super::tatum::provider(),
    &super::truelayer::PROVIDER,
    &super::unionpay::PROVIDER,
    &super::wechatpay_v2::PROVIDER,
    &super::wechatpay_v3::PROVIDER,
    described("wise", include_str!("wise.toml")),
    described("worldline", include_str!("worldline.toml")),
    described("xendit", include_str!("xendit.toml")),
    &super::yeepay::PROVIDER,
]);

/// The built-in providers, in the order in which they are listed.
pub fn built_in() -> impl Iterator<Item = &'static Provider> {
    BUILT_IN.iter().copied()
}

impl Registry {
    /// The built-in providers and `configured` ones beside them.
    pub fn new(configured: Vec<&'static Provider>) -> Self {
        Self { configured }
    }

    /// The provider of this name.
    pub fn find(&self, name: &str) -> Option<&'static Provider> {
        self.iter().find(|provider| provider.name == name)
    }

    /// A hint of our own that asks the provider of a registered reference about it, as if a callback had named it at
    /// `now`; `None` where nobody can be asked by it.
    pub fn hint_of(&self, account: &str, reference: &Reference, now: UnixSeconds) -> Option<Verified> {
        let (provider, id) = reference.parts()?;
        self.find(provider)?.hint_of(account, id, now)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &'static Provider> {
        built_in().chain(self.configured.iter().copied())
    }
}
