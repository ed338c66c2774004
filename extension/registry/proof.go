// This file decides who a caller is, which process it may register, and who yields to whom.

package registry

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"

	"github.com/foundation-agent/foundation-agent/internal/agents"
	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/operator"
	"github.com/foundation-agent/foundation-agent/internal/proc"
)

// Ways in which an agent registered.
const (
	viaUnix     = "unix"
	viaTCP      = "tcp"
	viaOperator = "operator"
)

// caller is who asks for an operation.
type caller struct {
	door.Caller
	via      string
	addr     netip.Addr // of a caller over TCP
	operator bool       // it came through the operators' door
}

// application is the caller of a request through the applications' door.
func application(r *http.Request) caller {
	c := caller{Caller: door.CallerOf(r), via: viaTCP}
	if c.Local {
		c.via = viaUnix
	} else if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		c.addr = ap.Addr().Unmap()
	}
	return c
}

// operatorOf is the caller of a request through the operators' door.
func operatorOf(r *http.Request) caller {
	o := operator.CallerOf(r)
	return caller{Caller: door.Caller{Peer: o.Peer, Local: o.Local}, via: viaOperator, operator: true}
}

func (c caller) account() account { return account{uid: c.Peer.UID, local: c.Local} }

// prove says who will own what c registers: the process that the kernel proves, or the holder of a new
// token. claimed is the pid in the body, 0 where there is none; it is believed of operators alone.
func (r *registry) prove(c caller, claimed int32) (own owner, token string, p *proc.Process, err error) {
	own.account = c.account()
	pid := c.Peer.PID
	switch {
	case claimed < 0:
		return own, "", nil, invalid("invalid_pid", "pid is %d: it is a positive number", claimed)
	case c.operator:
		pid = claimed
	case !c.Local && claimed != 0:
		return own, "", nil, refuse(http.StatusForbidden, outcomeRefused, "pid_not_proven",
			"pid %d: a pid is proven on the unix socket only; register there, or leave it out and send heartbeats", claimed)
	case claimed != 0 && pid == 0:
		return own, "", nil, refuse(http.StatusForbidden, outcomeRefused, "pid_not_proven",
			"pid %d: the kernel does not show the caller's process here (another PID namespace); leave pid out and send heartbeats", claimed)
	case claimed != 0 && claimed != pid && !proc.KnownInsideAs(pid, claimed):
		return own, "", nil, refuse(http.StatusForbidden, outcomeRefused, "pid_not_proven",
			"pid %d is not the caller's own: the kernel says it is %d; leave pid out", claimed, pid)
	}
	if pid > 0 && (c.Local || c.operator) {
		p, err = proc.Open(pid)
		switch {
		case errors.Is(err, proc.ErrGone):
			return own, "", nil, refuse(http.StatusConflict, outcomeRefused, "process_gone", "process %d has ended", pid)
		case err != nil:
			return own, "", nil, fmt.Errorf("process %d: %w", pid, err)
		case !c.operator && !sameStart(p.Start, c.Peer.Start):
			p.Close()
			return own, "", nil, refuse(http.StatusForbidden, outcomeRefused, "pid_reused",
				"the process that opened this connection has ended, and pid %d is another's now", pid)
		}
		own.process = p.Identity
		if c.operator {
			// A process that could not register itself may not be able to call either: who calls for it needs this.
			token, own.token = newToken()
		}
		return own, token, p, nil
	}
	if c.operator {
		return own, "", nil, invalid("pid_needed", "an operator registers a process: give its pid")
	}
	token, own.token = newToken()
	return own, token, nil, nil
}

// sameLife reports whether a registration comes from the process that holds the entry, about the same life.
func (e *entry) sameLife(c caller, own owner, instance string) bool {
	if instance != "" && instance != e.agent.Load().Instance {
		return false
	}
	if c.operator {
		return own.process == e.process
	}
	return e.is(c.Caller)
}

// yield decides whether the holder of an id yields it to another process, or to another life in its
// own, and how that is told. r.mu is held.
func (r *registry) yield(c caller, old *entry, own owner) (agents.Down, error) {
	a := old.agent.Load()
	ended := old.process.Start != 0 && old.process.Gone() // and nobody has told us yet
	switch {
	case ended:
		return agents.Down{Reason: agents.ReasonExited, Detail: "found gone when its id was registered again"}, nil
	case old.is(c.Caller):
		return agents.Down{Reason: agents.ReasonReplaced, Detail: "registered again as another instance"}, nil
	case r.cfg.OnConflict == conflictRefuse:
		return agents.Down{}, r.refuseClaim(c, a, "on_conflict is "+conflictRefuse)
	case !mayTakeOver(c, old):
		return agents.Down{}, r.refuseClaim(c, a, "the newcomer is not proven, or is another user's")
	}
	return agents.Down{Reason: agents.ReasonReplaced, Detail: "taken over by " + c.describe(own)}, nil
}

// mayTakeOver wants the newcomer proven at least as well as the holder: an unproven one changes no entry.
func mayTakeOver(c caller, old *entry) bool {
	switch {
	case c.operator:
		return true
	case !c.Local:
		return false
	case !old.account.local:
		return true
	}
	return c.Peer.UID == old.account.uid || c.Peer.UID == 0
}

func (r *registry) refuseClaim(c caller, holder *agents.Agent, why string) error {
	r.hub.tell(agents.Event{Type: agents.EventClaimRefused, At: r.now(), Agent: holder,
		Detail: "claimed by " + c.describe(owner{}) + ": " + why})
	e := refuse(http.StatusConflict, outcomeRefused, "id_taken", "agent %q is registered by another process: %s", holder.ID, why)
	e.tell.Details = map[string]any{"instance": holder.Instance, "registered_at": holder.RegisteredAt}
	return e
}

// describe says who a caller is, from what is proven.
func (c caller) describe(own owner) string {
	pid := own.process.PID
	if pid == 0 && c.Local {
		pid = c.Peer.PID
	}
	switch {
	case pid != 0:
		return fmt.Sprintf("process %d (%s, uid %d)", pid, c.via, c.Peer.UID)
	case c.Local:
		return fmt.Sprintf("a process of uid %d", c.Peer.UID)
	}
	return "a caller over " + c.via
}

func closeProcess(p *proc.Process) {
	if p != nil {
		p.Close()
	}
}
