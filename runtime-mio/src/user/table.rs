//! The list of users.

use cordboard_core::users::{Directory, User};

/// The users as a table for people, a line each.
pub(super) fn of(directory: &Directory) -> String {
    if directory.users().is_empty() {
        return "no users\n".to_owned();
    }
    let header =
        ["NAME", "DISPLAY NAME", "ALIASES", "MAY ACT FOR", "SIP USER", "SIP REALM"].map(str::to_owned);
    let rows: Vec<_> = std::iter::once(header).chain(directory.users().iter().map(row)).collect();
    let mut table = String::new();
    for row in &rows {
        let mut line = String::new();
        for (column, cell) in row.iter().enumerate() {
            let width = rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
            line.push_str(cell);
            line.extend(std::iter::repeat_n(' ', width - cell.chars().count() + 2));
        }
        table.push_str(line.trim_end());
        table.push('\n');
    }
    table
}

fn row(user: &User) -> [String; 6] {
    let (sip_user, sip_realm) = user.sip().map_or(("-", "-"), |sip| (&sip.username, &sip.realm));
    let cells = [
        user.name(),
        user.display_name(),
        &user.aliases().join(" "),
        &user.may_act_for().join(" "),
        sip_user,
        sip_realm,
    ]
    // A name must not play tricks on the terminal.
    .map(|cell| cell.chars().filter(|c| !c.is_control()).collect::<String>());
    cells.map(|cell| if cell.is_empty() { "-".to_owned() } else { cell })
}
