//! Links: the hosts that they may lead to, and what they carry.

use codemint_offers::campaign::definition::Definition;
use codemint_offers::link::banner::banner;
use codemint_offers::link::hosts::LinkHosts;
use codemint_offers::link::target::{NoTarget, Origin, carried_code, landing_page, link, with_click};
use codemint_offers::read::campaign::{NameFrom, read_definition};
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

fn campaign(kind: &str, mask: &str, offer: Value) -> Definition {
    let document = json!({
        "name": "spring", "title": "Spring <sale> & \"more\"", "kind": kind, "mask": mask, "offer": offer,
        "discount": { "effect": { "type": "percent", "basis_points": 1000 }, "target": { "type": "order" } },
    });
    read_definition(&document, NameFrom::Document).expect("a definition")
}

fn origin(source: &str, ad: &str, affiliate: &str) -> Origin {
    let text = |text: &str| Some(text.to_owned());
    Origin { source: text(source), ad: text(ad), affiliate: text(affiliate) }
}

#[test]
fn links_lead_to_listed_hosts_only() {
    let hosts: LinkHosts =
        " shop.example, *.brand.example ,LOCALHOST, bücher.example,127.0.0.1,[::1]".parse().expect("hosts");
    for allowed in [
        "https://shop.example",
        "http://shop.example:8443/sale?a=b#c",
        "https://SHOP.example/",
        "https://a.brand.example",
        "https://a.b.brand.example",
        "http://localhost:3000/",
        "https://xn--bcher-kva.example/",
        "https://bücher.example/",
        "http://127.0.0.1/",
        "http://[::1]/",
    ] {
        assert!(hosts.allow(&Url::parse(allowed).expect("a URL")), "{allowed}");
    }
    for refused in [
        "https://evil.example",
        "https://shop.example.evil.example",
        "https://evilshop.example",
        "https://www.shop.example",
        "https://brand.example",
        "https://evilbrand.example",
        "https://shop.example@evil.example/",
        "https://user:secret@shop.example/",
        "https://user@shop.example/",
        "https://:secret@shop.example/",
        "https://evil.example\\@shop.example/",
        "https://evil.example#@shop.example/",
        "https://shop.example./",
        "ftp://shop.example/",
        "javascript://shop.example/%0aalert(1)",
        "data:text/html,shop.example",
        "file:///etc/passwd",
    ] {
        assert!(!hosts.allow(&Url::parse(refused).expect("a URL")), "{refused}");
    }
    assert!(!LinkHosts::default().allow(&Url::parse("https://shop.example").expect("a URL")));
    for wrong in ["shop.example/sale", "https://shop.example", "*", "*.*.example", "a b", "shop.example:443", "*."] {
        let problem = wrong.parse::<LinkHosts>().expect_err("no host").to_string();
        assert!(problem.starts_with(&format!("{wrong:?} is not a host; write names such as")), "{problem}");
    }
}

#[test]
fn a_campaign_without_a_page_on_a_listed_host_has_no_link() {
    let hosts: LinkHosts = "shop.example".parse().expect("hosts");
    let page = |offer| landing_page(&campaign("public", "TOP", offer), &hosts);
    assert_eq!(page(json!({})), Err(NoTarget::NoLandingPage));
    assert_eq!(page(json!({ "landing_url": "https://evil.example/" })), Err(NoTarget::HostNotAllowed));
    let page = page(json!({ "landing_url": "https://shop.example/sale" })).expect("a page");
    assert_eq!(page.as_str(), "https://shop.example/sale");
}

#[test]
fn only_the_code_of_a_public_campaign_is_carried() {
    assert_eq!(carried_code(&campaign("public", "TOP-10", json!({}))).as_deref(), Some("TOP-10"));
    assert_eq!(carried_code(&campaign("private", "TOP-####", json!({}))), None);
    assert_eq!(carried_code(&campaign("restricted", "TOP-####", json!({}))), None);
}

#[test]
fn the_page_gets_what_starts_the_coupon_and_keeps_its_own_parameters() {
    let page = |text: &str| Url::parse(text).expect("a URL");
    let id = Uuid::from_u128(7);
    let target =
        with_click(page("https://shop.example/a?b=c%26d&code=OLD#top"), Some("TOP 10"), id, &Origin::default());
    assert_eq!(target.as_str(), format!("https://shop.example/a?b=c%26d&code=TOP+10&click_id={id}#top"));
    let target = with_click(page("https://shop.example"), None, id, &origin("a&b=c", "d e", "0123"));
    assert_eq!(target.as_str(), format!("https://shop.example/?click_id={id}&source=a%26b%3Dc&ad=d+e&affiliate=0123"));
}

#[test]
fn an_origin_is_short_text_and_an_empty_one_is_none() {
    let checked = origin("", "banner", "").checked().expect("an origin");
    assert_eq!(checked, Origin { ad: Some("banner".to_owned()), ..Origin::default() });
    assert_eq!(origin("x", &"y".repeat(201), "").checked(), Err("ad"));
    assert_eq!(origin("x", &"ü".repeat(200), "a\nb").checked(), Err("affiliate"));
}

#[test]
fn a_link_and_its_banner_are_escaped() {
    let public = Url::parse("https://go.shop.example/codes/?x=y").expect("a URL");
    let link = link(&public, "Spring/<sale> ?#", &origin("\"><script>", "", "ü"));
    let expected =
        "https://go.shop.example/codes/go/Spring%2F%3Csale%3E%20%3F%23?source=%22%3E%3Cscript%3E&ad=&affiliate=%C3%BC";
    assert_eq!(link.as_str(), expected);
    let html = banner(&campaign("public", "TOP", json!({})), &link);
    assert_eq!(
        html,
        "<a href=\"https://go.shop.example/codes/go/Spring%2F%3Csale%3E%20%3F%23?source=%22%3E%3Cscript%3E&#38;ad=&#38;affiliate=%C3%BC\" \
         rel=\"sponsored noopener\">Spring &#60;sale&#62; &#38; &#34;more&#34;</a>"
    );
    let offer = json!({ "text": "<b>Ten</b> off", "image_url": "https://shop.example/a.png?\"onload=" });
    let html = banner(&campaign("public", "TOP", offer), &link);
    assert!(
        html.contains(
            "\"><img src=\"https://shop.example/a.png?&#34;onload=\" alt=\"&#60;b&#62;Ten&#60;/b&#62; off\"></a>"
        ),
        "{html}"
    );
}
