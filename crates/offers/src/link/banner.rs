//! A link as HTML, to be pasted into a page.

use askama::Template;
use url::Url;

use crate::campaign::definition::Definition;

/// A picture, or a line of text, that leads to a campaign. Every text is escaped.
#[derive(Clone, Debug, Template)]
#[template(
    ext = "html",
    source = r#"<a href="{{ link }}" rel="sponsored noopener">{% if let Some(image) = image %}<img src="{{ image }}" alt="{{ text }}">{% else %}{{ text }}{% endif %}</a>"#
)]
struct Banner<'a> {
    link: &'a str,
    image: Option<&'a str>,
    text: &'a str,
}

/// Returns the banner of a campaign: its picture, or else its text, or else its title.
pub fn banner(campaign: &Definition, link: &Url) -> String {
    let text = campaign.offer.text.as_deref().unwrap_or(&campaign.title);
    let image = campaign.offer.image_url.as_deref();
    // Writing to a text does not fail.
    Banner { link: link.as_str(), image, text }.render().unwrap_or_default()
}
