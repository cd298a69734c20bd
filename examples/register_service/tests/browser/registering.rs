//! Somebody registers: once, however often the form is sent.

use std::time::Duration;

use crate::browser::BUTTON;
use crate::in_each_browser;
use crate::people::ALICE;
use crate::stage::Stage;

in_each_browser!(
    who_registers_is_welcome_and_logs_in_and_out,
    a_double_click_makes_one_account,
    two_tabs_that_send_the_same_at_once_make_one_account,
    a_slow_answer_is_waited_for_and_makes_one_account,
);

fn who_registers_is_welcome_and_logs_in_and_out(stage: &mut Stage) {
    let browser = &stage.browser;
    browser.open("/");
    browser.keep_picture("form");
    browser.fill_in(&ALICE);
    browser.keep_picture("filled");
    browser.submit();
    browser.keep_picture("welcome");
    assert_eq!((&*browser.heading(), &*browser.path()), ("Welcome", "/welcome"));
    assert_eq!(stage.service.accounts(), 1);

    browser.arrive(|| browser.click("main a.button"));
    browser.keep_picture("login");
    assert_eq!((&*browser.heading(), &*browser.focused()), ("Log in", "login"));
    browser.fill("login", ALICE.username);
    browser.fill("password", ALICE.password);
    browser.submit();
    browser.keep_picture("account");
    assert_eq!((&*browser.heading(), &*browser.path()), ("Your account", "/account"));
    let shown = browser.text("dl");
    assert!(shown.contains(ALICE.username) && shown.contains(ALICE.email), "{shown}");

    browser.submit();
    browser.keep_picture("logged-out");
    assert_eq!((&*browser.heading(), &*browser.path()), ("Log in", "/login"));
    browser.open("/account");
    assert_eq!(browser.path(), "/login");
}

/// Without JavaScript the browser sends the form twice, and gives up the first answer, unless it was
/// too slow to begin before the second click.
fn a_double_click_makes_one_account(stage: &mut Stage) {
    let browser = &stage.browser;
    browser.open("/");
    browser.fill_in(&ALICE);
    browser.arrive(|| {
        let held = stage.service.hold();
        browser.click_twice(Duration::from_millis(100));
        drop(held);
    });
    browser.keep_picture("after");
    assert_eq!((&*browser.heading(), &*browser.path()), ("Welcome", "/welcome"));
    let most = if browser.has_javascript() { 1 } else { 2 };
    assert!((1..=most).contains(&browser.posts()));
    assert_eq!(stage.service.accounts(), 1);
}

fn two_tabs_that_send_the_same_at_once_make_one_account(stage: &mut Stage) {
    let browser = &stage.browser;
    let tabs = [browser.tab(), browser.new_tab()];
    for tab in &tabs {
        browser.switch_to(tab);
        browser.open("/");
        browser.fill_in(&ALICE);
    }
    let held = stage.service.hold();
    for tab in &tabs {
        browser.switch_to(tab);
        browser.click(BUTTON);
    }
    browser.new_tab();
    browser.until("both are sent", || browser.posts() == 2);
    drop(held);

    let mut headings = tabs.map(|tab| {
        browser.switch_to(&tab);
        browser.until("the tab has its answer", || browser.path() != "/" && browser.is_loaded());
        browser.keep_picture("after");
        match &*browser.heading() {
            "Log in" => browser.text("[role=status]"),
            heading => heading.to_owned(),
        }
    });
    headings.sort();
    // Tabs of one browser send the same request; which of them is answered first does not matter.
    let expected = ["Welcome", "You already have an account: log in."];
    assert!(headings == expected || headings == ["Welcome"; 2], "{headings:?}");
    assert_eq!(stage.service.accounts(), 1);
}

fn a_slow_answer_is_waited_for_and_makes_one_account(stage: &mut Stage) {
    let browser = &stage.browser;
    browser.open("/");
    browser.fill_in(&ALICE);
    // A page that is about to be left answers nothing: it writes down itself what it shows.
    browser.script(WRITE_DOWN, Vec::new());
    browser.slow_down(Duration::from_millis(400));
    let page = browser.tab();
    browser.arrive(|| {
        let held = stage.service.hold();
        browser.click_twice(Duration::from_millis(300));
        browser.keep_picture("under-way");
        browser.new_tab();
        browser.until("it is sent", || browser.posts() > 0);
        drop(held);
        browser.switch_to(&page);
    });
    browser.keep_picture("after");
    assert_eq!((&*browser.heading(), &*browser.path()), ("Welcome", "/welcome"));
    assert_eq!(stage.service.accounts(), 1);
    if browser.has_javascript() {
        assert_eq!(browser.posts(), 1);
        let written = browser.script("return sessionStorage.written", Vec::new());
        let under_way = "One moment … true";
        let expected = format!("sent {under_way};held back {under_way};");
        assert_eq!(written.as_str(), Some(&*expected));
    }
}

/// What becomes of each click, and what is on the button then.
const WRITE_DOWN: &str = "
    sessionStorage.written = '';
    addEventListener('submit', (event) => {
        const button = event.target.querySelector('button');
        const fate = event.defaultPrevented ? 'held back' : 'sent';
        const busy = button.getAttribute('aria-disabled');
        sessionStorage.written += `${fate} ${button.textContent} ${busy};`;
    });
";
