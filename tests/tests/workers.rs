//! Several workers are one service: whoever a request comes to, it is answered as if there were one.

use std::collections::BTreeSet;
use std::time::Duration;

use cordboard_core::Census;
use cordboard_core::io::{Input, WorkerId};
use cordboard_core::users::Directory;
use cordboard_tests::board::{Agent, Board, Response};

const WORKERS: u8 = 3;
const JSON: &str = "Accept: application/json\r\n";

fn board(tables: &str) -> Board {
    Board::new(WORKERS, tables)
}

fn agents(board: &mut Board) -> Vec<Agent> {
    (0..WORKERS).map(|worker| Agent::at(board, worker)).collect()
}

fn path(call: u32) -> String {
    format!("/callcontroller/one{call}/two{call}")
}

fn order(call: u32) -> String {
    format!("{}?agent=agent&sipMethod=INVITE", path(call))
}

fn json(board: &mut Board, agent: &mut Agent, uri: &str) -> serde_json::Value {
    let lines = format!("{JSON}{}", agent.authorization("GET", uri));
    let response = board.ask(agent.line, "GET", uri, &lines);
    assert_eq!(response.status, 200, "{response:?}");
    serde_json::from_str(&response.body).expect("it is JSON")
}

fn in_progress(board: &Board) -> Vec<usize> {
    board.censuses().iter().map(|census| census.calls_in_progress).collect()
}

#[test]
fn a_call_is_the_same_wherever_it_is_asked_for() {
    let mut board = board("");
    let mut agents = agents(&mut board);
    for call in 0..24 {
        let orderer = &mut agents[call as usize % 3];
        let placed = orderer.ask(&mut board, "POST", &order(call));
        assert_eq!(placed.status, 200, "{placed:?}");
        let location = placed.field("Location").to_owned();
        for agent in &mut agents {
            let again = agent.ask(&mut board, "POST", &order(call));
            assert_eq!(again.status, 409, "{again:?}");
            let named = json(&mut board, agent, &path(call));
            let by_id = json(&mut board, agent, &location);
            assert_eq!(named, by_id);
            assert_eq!(by_id["parties"]["called"], format!("two{call}@example.com"));
        }
        // One half is ended by its name, the other by its number.
        let end = if call < 12 { path(call) } else { location };
        let ender = &mut agents[(call as usize + 1) % 3];
        assert_eq!(ender.ask(&mut board, "DELETE", &end).status, 204);
        let other = &mut agents[(call as usize + 2) % 3];
        assert!(json(&mut board, other, &path(call))["times"]["ended"].is_string());
    }
    let shares: Vec<usize> = board.censuses().iter().map(|census| census.calls).collect();
    assert!(shares.iter().all(|calls| *calls > 0), "every worker has calls: {shares:?}");
}

#[test]
fn the_list_has_the_calls_of_all_workers_once() {
    let mut board = board("");
    let mut agents = agents(&mut board);
    for call in 0..30 {
        assert_eq!(agents[0].ask(&mut board, "POST", &order(call)).status, 200);
    }
    for agent in &mut agents {
        let list = json(&mut board, agent, "/calls");
        let calls = list["calls"].as_array().expect("a list");
        let called: BTreeSet<_> =
            calls.iter().map(|call| call["parties"]["called"].as_str().expect("a name").to_owned()).collect();
        assert_eq!((calls.len(), called.len()), (30, 30));
    }
}

#[test]
fn a_transfer_reaches_the_worker_of_the_call() {
    let mut board = board("");
    let mut agents = agents(&mut board);
    for call in 0..9 {
        assert_eq!(agents[0].ask(&mut board, "POST", &order(call)).status, 200);
        let transfer = format!("{}?agent=agent&action=transfer&target=three", path(call));
        let agent = &mut agents[call as usize % 3];
        let answer = agent.ask(&mut board, "POST", &transfer);
        assert_eq!(answer.status, 200, "{answer:?}");
        // Its name stays, wherever it has gone to.
        let call = json(&mut board, &mut agents[(call as usize + 1) % 3], &path(call));
        let events = call["events"].as_array().expect("a call has events");
        let target = events.iter().find(|event| event["party"] == "target").expect("the target was rung");
        assert_eq!(target["status"], 200);
    }
}

#[test]
fn a_nonce_is_good_at_every_worker_and_its_count_only_once() {
    let mut board = board("");
    let mut agent = Agent::at(&mut board, 1);
    let lines: Vec<_> = (0..WORKERS).map(|worker| board.connect(worker)).collect();
    for line in lines.iter().chain(&lines) {
        agent.line = *line;
        assert_eq!(agent.ask(&mut board, "GET", "/calls").status, 200);
    }
    let used = agent.authorization("GET", "/calls");
    assert_eq!(board.ask(lines[0], "GET", "/calls", &used).status, 200);
    for line in lines {
        let replayed = board.ask(line, "GET", "/calls", &used);
        assert_eq!(replayed.status, 401, "{replayed:?}");
    }
}

#[test]
fn whoever_fails_to_log_in_at_one_worker_is_locked_out_at_all() {
    let mut board = board("");
    let lines: Vec<_> = (0..WORKERS).map(|worker| board.connect(worker)).collect();
    let mut agent = Agent::at(&mut board, 0);
    let wrong = |agent: &mut Agent| agent.authorization("GET", "/elsewhere").replace("/elsewhere", "/calls");
    let mut tries = 0;
    // The tries go round, so that no worker alone sees enough of them.
    let locked = loop {
        let line = lines[tries % lines.len()];
        let lines = wrong(&mut agent);
        let answer = board.ask(line, "GET", "/calls", &lines);
        if answer.status == 429 {
            break answer;
        }
        assert_eq!(answer.status, 401);
        tries += 1;
        assert!(tries < 100, "nobody is locked out");
    };
    let mut alone = Board::new(1, "");
    let mut agent_alone = Agent::at(&mut alone, 0);
    let mut tries_alone = 0;
    while agent_alone_fails(&mut alone, &mut agent_alone) {
        tries_alone += 1;
    }
    assert_eq!(tries, tries_alone, "as many tries as one worker allows");
    let wait: u64 = locked.field("Retry-After").parse().expect("seconds");
    for line in &lines {
        let good = agent.authorization("GET", "/calls");
        assert_eq!(board.ask(*line, "GET", "/calls", &good).status, 429);
    }
    board.pass(Duration::from_secs(wait));
    let good = agent.authorization("GET", "/calls");
    assert_eq!(board.ask(lines[2], "GET", "/calls", &good).status, 200);
}

fn agent_alone_fails(board: &mut Board, agent: &mut Agent) -> bool {
    let lines = agent.authorization("GET", "/elsewhere").replace("/elsewhere", "/calls");
    board.ask(agent.line, "GET", "/calls", &lines).status == 401
}

#[test]
fn max_calls_holds_for_all_workers_together_and_can_be_used_up() {
    let mut board = board("[calls]\nmax_calls = 7");
    let mut agents = agents(&mut board);
    let mut refused = 0;
    for call in 0..40 {
        let answer = agents[call as usize % 3].ask(&mut board, "POST", &order(call));
        match answer.status {
            200 => {}
            503 => {
                assert_ne!(answer.field("Retry-After"), "", "{answer:?}");
                refused += 1;
            }
            _ => panic!("{answer:?}"),
        }
    }
    // Wherever the names fell, all that may be are there.
    assert_eq!((in_progress(&board).iter().sum::<usize>(), refused), (7, 33));
    // One goes, one comes, at whatever worker.
    for call in 0..7 {
        assert_eq!(agents[1].ask(&mut board, "DELETE", &path(call)).status, 204);
        board.pass(Duration::from_secs(120));
        // Connections and nonces do not live that long.
        agents = self::agents(&mut board);
        let free = 7 - in_progress(&board).iter().sum::<usize>();
        assert!(free > 0, "{:?}", in_progress(&board));
        for more in 0..free as u32 {
            let answer = agents[2].ask(&mut board, "POST", &order(1000 + 10 * call + more));
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        assert_eq!(agents[0].ask(&mut board, "POST", &order(5000 + call)).status, 503);
    }
}

#[test]
fn a_drain_ends_each_worker_when_its_calls_are_over() {
    let mut board = board("");
    let mut agents = agents(&mut board);
    for call in 0..12 {
        assert_eq!(agents[0].ask(&mut board, "POST", &order(call)).status, 200);
    }
    board.hand_all(|| Input::Drain);
    assert_eq!(board.drained(), []);
    for agent in &mut agents {
        let refused = agent.ask(&mut board, "POST", &order(77));
        assert_eq!(refused.status, 503, "{refused:?}");
        assert_ne!(refused.field("Retry-After"), "");
    }
    for call in 0..12 {
        assert_eq!(agents[1].ask(&mut board, "DELETE", &path(call)).status, 204);
    }
    let drained: BTreeSet<WorkerId> = board.drained().iter().copied().collect();
    assert_eq!(drained, (0..WORKERS).map(WorkerId).collect());
}

#[test]
fn users_are_read_anew_by_all() {
    let mut board = board("");
    let mut agents = agents(&mut board);
    board.hand_all(|| Input::Reload(Box::new(Directory::new(Vec::new(), "example.com").expect("nobody"))));
    for agent in &mut agents {
        assert_eq!(agent.ask(&mut board, "GET", "/calls").status, 401);
    }
}

#[test]
fn what_comes_in_behind_a_handed_over_request_is_answered_behind_it() {
    let mut board = board("");
    let mut agent = Agent::at(&mut board, 0);
    let mut text = String::new();
    for call in 0..12 {
        let uri = order(call);
        let lines = agent.authorization("POST", &uri);
        text += &format!("POST {uri} HTTP/1.1\r\nHost: x\r\n{lines}\r\n");
    }
    board.send(agent.line, &text);
    let early = board.responses(agent.line);
    assert!(early.len() < 12, "some of them wait for another worker");
    board.deliver();
    let all = early.into_iter().chain(board.responses(agent.line));
    // Each names its call, and they are in the order in which they were asked for.
    let called: Vec<String> = all
        .map(|response: Response| {
            assert_eq!(response.status, 200, "{response:?}");
            let id = response.field("Location").to_owned();
            let call = json(&mut board, &mut agent, &id);
            call["parties"]["called"].as_str().expect("a name").to_owned()
        })
        .collect();
    assert_eq!(called, (0..12).map(|call| format!("two{call}@example.com")).collect::<Vec<_>>());
}

#[test]
fn a_call_ordered_on_a_connection_that_broke_meanwhile_stands_all_the_same() {
    let mut board = board("");
    let mut other = Agent::at(&mut board, 1);
    for call in 0..9 {
        let mut agent = Agent::at(&mut board, 0);
        let uri = order(call);
        let lines = agent.authorization("POST", &uri);
        board.send(agent.line, &format!("POST {uri} HTTP/1.1\r\nHost: x\r\n{lines}\r\n"));
        board.cut(agent.line);
        board.deliver();
        assert_eq!(other.ask(&mut board, "GET", &path(call)).status, 200);
    }
    board.cut(other.line);
    for call in 0..9 {
        let mut last = Agent::at(&mut board, 2);
        assert_eq!(last.ask(&mut board, "DELETE", &path(call)).status, 204);
        board.cut(last.line);
    }
    board.pass(Duration::from_secs(2 * 24 * 3600));
    assert_eq!(board.censuses(), [Census::default(); WORKERS as usize], "nothing is left");
}
