//! The directory of clients as administrators see it: with nothing masked.

use maud::{Markup, html};
use ncore_domain::{Roster, RosterRow, percent};

use super::scrolling;
use crate::{
    cluster::PAGE,
    format::{self, UNKNOWN},
};

pub(super) fn render(roster: Option<&Roster>, is_further: bool) -> Markup {
    html! {
        section id="clients" aria-labelledby="clients-heading" {
            h2 id="clients-heading" { "Clients" }
            @match roster {
                None => p.none { "The clients cannot be read now." },
                Some(roster) if roster.rows.is_empty() && !is_further => p.none { "There is no client yet." },
                Some(roster) => {
                    p.lead { "All clients with all of their domains. Bandwidth is what their requests were answered with in 30 days." }
                    (scrolling("Directory of clients", &table(roster)))
                    (turn(roster, is_further))
                }
            }
        }
    }
}

fn table(roster: &Roster) -> Markup {
    html! {
        table {
            caption.visually-hidden { "Clients, in the order of their ids" }
            thead {
                tr {
                    th scope="col" { "Client" }
                    th scope="col" { "Domains" }
                    th scope="col" { "Plan" }
                    th scope="col" { "Since" }
                    th.number scope="col" { "Stored" }
                    th.number scope="col" { "Bandwidth (30d)" }
                    th scope="col" { "Status" }
                }
            }
            tbody { @for client in &roster.rows { (row(client)) } }
        }
    }
}

fn row(RosterRow { details, sent_30_days }: &RosterRow) -> Markup {
    let (client, account) = (&details.client, details.account.as_ref());
    let since = format::month(account.map_or(client.created_at_ms, |account| account.since_ms));
    let plan = account.map(|account| account.plan.name.as_str()).filter(|name| !name.is_empty());
    html! {
        tr {
            th scope="row" { span.name { (client.name) } span.under { (client.id) } }
            td { @if client.domains.is_empty() { (UNKNOWN) } @for domain in &client.domains { span.said-of { (domain) } } }
            td { (plan.unwrap_or(UNKNOWN)) }
            td { time datetime=(since) { (since) } }
            td.number { (details.stored.as_ref().map_or_else(|| UNKNOWN.to_owned(), |stored| format::bytes(stored.bytes))) }
            td.number { (format::bytes(*sent_30_days)) }
            td { span data-status=(client.status.as_str()) { (client.status.as_str()) } }
        }
    }
}

fn turn(roster: &Roster, is_further: bool) -> Markup {
    html! {
        @if is_further || roster.next.is_some() {
            nav.turn aria-label="Pages of the clients" {
                @if is_further { a href={ (PAGE) "#clients" } { "First page" } }
                @if let Some(next) = &roster.next {
                    a rel="next" href={ (PAGE) "?client=" (percent::query(next.as_str())) "#clients" } { "Next page" }
                }
            }
        }
    }
}
