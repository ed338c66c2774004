package chaos

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/foundation-agent/foundation-agent/testbed/load"
)

// account is what became of one kind of record in one trial.
type account struct {
	Kind kind
	// In was acknowledged to the senders; Unknown of it, or beside it, was cut off before the answer, so that it may
	// have been taken once more; Refused was answered with an error for good.
	In, Unknown, Refused int
	// Retries are requests that the agent refused for now and the sender sent again.
	Retries int
	// Out are the records that the backend got, Repeats those of them that it could tell for repeats.
	Out, Repeats int
	// Suppressed did not leave one by one: summaries count them.
	Suppressed int
	// Accounted is what the records stand for, repeats left out.
	Accounted int
	// MayLose is how many of In the promise lets go.
	MayLose int
	// Wrong are records that cannot be right.
	Wrong int
}

// Lost is what was acknowledged and is not accounted for.
func (a account) Lost() int { return max(0, a.In-a.Accounted) }

// balanced reports whether nothing is unaccounted: no more is missing than promised, and nothing counts twice that
// was sent once.
func (a account) balanced() bool {
	return a.Wrong == 0 && a.In-a.MayLose <= a.Accounted && a.Accounted <= a.In+a.Unknown
}

func (a account) String() string {
	return fmt.Sprintf("%s: in %d (unknown %d, refused %d, retries %d), out %d (repeats %d), suppressed %d, accounted %d, lost %d of %d allowed",
		a.Kind, a.In, a.Unknown, a.Refused, a.Retries, a.Out, a.Repeats, a.Suppressed, a.Accounted, a.Lost(), a.MayLose)
}

func (t *trial) accounts(sent map[kind]load.Result) []account {
	var all []account
	for k, r := range sent {
		a := account{Kind: k, In: r.Accepted, Unknown: r.Unknown, Refused: r.Refused, Retries: r.Retries, MayLose: t.mayLose[k]}
		if k == pairs {
			spans := t.backend.Spans().Totals()
			a.Out, a.Repeats, a.Accounted, a.Wrong = spans.Spans, spans.Repeats, spans.Once(), spans.Wrong
		} else {
			event := ""
			if k == events {
				event = "order.failed"
			}
			logs := t.backend.Logs().Event(event)
			a.Out, a.Repeats, a.Accounted, a.Wrong = logs.Records, logs.Repeats, int(logs.Weight+0.5), logs.Wrong
			a.Suppressed = a.Accounted - logs.Firsts
		}
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b account) int { return strings.Compare(string(a.Kind), string(b.Kind)) })
	return all
}

// settle ends the load and waits until everything has left the agent and nothing more comes. It fails the trial
// where an account is not balanced.
func (t *trial) settle() []account {
	t.Helper()
	sent := t.load.stop(t)
	return t.balance(sent)
}

// balance waits for the accounts of what was sent.
func (t *trial) balance(sent map[kind]load.Result) []account {
	t.Helper()
	deadline := time.Now().Add(patience)
	accounts, since := t.accounts(sent), time.Now()
	for time.Now().Before(deadline) {
		time.Sleep(50 * time.Millisecond)
		now := t.accounts(sent)
		if !slices.Equal(now, accounts) {
			accounts, since = now, time.Now()
			continue
		}
		missing := slices.ContainsFunc(now, func(a account) bool { return a.Accounted < a.In-a.MayLose })
		// Nothing changed for longer than any window or retry lasts; what is missing is given more time.
		if quiet := time.Since(since); quiet > 2*window+time.Second && (!missing || quiet > 15*time.Second) {
			break
		}
	}
	for _, a := range accounts {
		if !a.balanced() {
			t.Errorf("not balanced: %v", a)
		}
	}
	return accounts
}
