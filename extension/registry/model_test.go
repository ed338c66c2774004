package registry

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"pgregory.net/rapid"

	"github.com/foundation-agent/foundation-agent/internal/agents"
	"github.com/foundation-agent/foundation-agent/internal/door"
	"github.com/foundation-agent/foundation-agent/internal/proc"
	"github.com/foundation-agent/foundation-agent/internal/unixsocket"
)

// modelAgent is an agent as the simple model knows it.
type modelAgent struct {
	owner    int // index of the process
	instance string
	labels   map[string]string
}

// tableModel is a map and no more.
type tableModel struct {
	agents map[string]modelAgent
	deaths map[string]int // by reason
}

// machine does the same to the registry and to the model. Its processes are real, and really die.
type machine struct {
	t     *testing.T
	r     *registry
	want  tableModel
	procs []*exec.Cmd
	start []uint64
}

func newMachine(t *testing.T) *machine {
	r, err := newRegistry(createDefaultConfig().(*Config), zap.NewNop())
	require.NoError(t, err)
	r.watcher, err = proc.NewWatcher()
	require.NoError(t, err)
	return &machine{t: t, r: r, want: tableModel{agents: map[string]modelAgent{}, deaths: map[string]int{}}}
}

func (m *machine) close() {
	for _, p := range m.procs {
		if p != nil {
			_ = p.Process.Kill()
			_ = p.Wait()
		}
	}
	m.r.watcher.Close()
}

func (m *machine) spawn() {
	p := exec.Command("sleep", "300")
	require.NoError(m.t, p.Start())
	id, err := proc.Identify(int32(p.Process.Pid))
	require.NoError(m.t, err)
	m.procs, m.start = append(m.procs, p), append(m.start, id.Start)
}

func (m *machine) caller(i int) caller {
	return caller{via: viaUnix, Caller: door.Caller{Local: true, Peer: unixsocket.Peer{
		PID: int32(m.procs[i].Process.Pid), UID: uint32(os.Getuid()), Start: m.start[i],
	}}}
}

func (m *machine) alive() []int {
	var alive []int
	for i, p := range m.procs {
		if p != nil {
			alive = append(alive, i)
		}
	}
	return alive
}

func (m *machine) register(i int, id, instance string, labels map[string]string) {
	old, taken := m.want.agents[id]
	done, err := m.r.register(m.caller(i), id, registration{Instance: instance, Labels: labels})
	require.NoError(m.t, err)
	if taken && (old.owner != i || (instance != "" && instance != old.instance)) {
		m.want.deaths[agents.ReasonReplaced]++
	}
	m.want.agents[id] = modelAgent{owner: i, instance: done.Agent.Instance, labels: labels}
}

func (m *machine) update(i int, id string, labels map[string]string) {
	old, known := m.want.agents[id]
	changes := map[string]*string{}
	for k, v := range labels {
		changes[k] = &v
	}
	_, err := m.r.update(m.caller(i), id, patch{Labels: changes})
	if !known || old.owner != i {
		require.Error(m.t, err)
		return
	}
	require.NoError(m.t, err)
	merged := maps.Clone(old.labels)
	maps.Copy(merged, labels)
	old.labels = merged
	m.want.agents[id] = old
}

func (m *machine) unregister(i int, id string) {
	old, known := m.want.agents[id]
	err := m.r.unregister(m.caller(i), id, "")
	if !known || old.owner != i {
		require.Error(m.t, err)
		return
	}
	require.NoError(m.t, err)
	delete(m.want.agents, id)
	m.want.deaths[agents.ReasonGoodbye]++
}

// kill ends a process and waits until the registry has noticed.
func (m *machine) kill(i int) {
	require.NoError(m.t, m.procs[i].Process.Kill())
	_ = m.procs[i].Wait()
	pid := int32(m.procs[i].Process.Pid)
	m.procs[i] = nil
	for id, a := range m.want.agents {
		if a.owner == i {
			delete(m.want.agents, id)
			m.want.deaths[agents.ReasonExited]++
		}
	}
	require.Eventually(m.t, func() bool {
		m.r.mu.Lock() // so that it has not only begun
		defer m.r.mu.Unlock()
		_, there := m.r.byPID.Load(pid)
		return !there
	}, 5*time.Second, 100*time.Microsecond)
}

func (m *machine) check() {
	got := map[string]modelAgent{}
	perProcess := map[int][]string{}
	for id, e := range m.r.byID.All() {
		a := e.agent.Load()
		owner := slices.IndexFunc(m.procs, func(p *exec.Cmd) bool { return p != nil && int32(p.Process.Pid) == a.PID })
		labels := a.Labels
		if labels == nil {
			labels = map[string]string{}
		}
		got[id] = modelAgent{owner: owner, instance: a.Instance, labels: labels}
		perProcess[owner] = append(perProcess[owner], id)
	}
	require.Equal(m.t, m.want.agents, got)
	require.Equal(m.t, len(got), m.r.byID.Len())
	require.Equal(m.t, len(perProcess), m.r.byPID.Len())
	for i, ids := range perProcess {
		in, ok := m.r.byPID.Load(int32(m.procs[i].Process.Pid))
		require.True(m.t, ok)
		require.ElementsMatch(m.t, ids, in.ids)
	}
	for i, reason := range deathReasons {
		require.Equal(m.t, int64(m.want.deaths[reason]), m.r.tally.deaths[i].Load(), reason)
	}
	bytes := m.r.bytes.Load()
	m.r.recount()
	require.Equal(m.t, m.r.bytes.Load(), bytes, "memory is accounted for")
	m.r.mu.Lock()
	defer m.r.mu.Unlock()
	require.Equal(m.t, len(got) > 0, len(m.r.accounts) > 0)
}

// Any sequence of operations and deaths gives the same table as a map.
func TestAgreesWithModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := newMachine(t)
		defer m.close()
		m.spawn()
		ids := rapid.SampledFrom([]string{"a", "b", "c", "d"})
		instances := rapid.SampledFrom([]string{"", "", "1", "2"})
		labels := rapid.MapOfN(rapid.SampledFrom([]string{"x", "y"}), rapid.SampledFrom([]string{"1", "2"}), 0, 2)
		process := func(rt *rapid.T) int {
			if len(m.alive()) == 0 {
				m.spawn()
			}
			return rapid.SampledFrom(m.alive()).Draw(rt, "process")
		}
		rt.Repeat(map[string]func(*rapid.T){
			"register": func(rt *rapid.T) {
				m.register(process(rt), ids.Draw(rt, "id"), instances.Draw(rt, "instance"), labels.Draw(rt, "labels"))
			},
			"update":     func(rt *rapid.T) { m.update(process(rt), ids.Draw(rt, "id"), labels.Draw(rt, "labels")) },
			"unregister": func(rt *rapid.T) { m.unregister(process(rt), ids.Draw(rt, "id")) },
			"spawn": func(rt *rapid.T) {
				if len(m.alive()) > 4 {
					rt.Skip()
				}
				m.spawn()
			},
			"kill": func(rt *rapid.T) { m.kill(process(rt)) },
			"heartbeat": func(rt *rapid.T) {
				i, id := process(rt), ids.Draw(rt, "id")
				a, err := m.r.heartbeat(m.caller(i), id, beat{Vitals: map[string]float64{"n": 1}})
				if m.want.agents[id].instance == "" || m.want.agents[id].owner != i {
					require.Error(t, err)
				} else {
					require.Equal(t, 1.0, a.Vitals["n"])
				}
			},
			"ensure": func(*rapid.T) { require.Zero(t, m.r.ensure().Gone) },
			"":       func(*rapid.T) { m.check() },
		})
	})
}

// A page after another gives each match once, in order.
func TestPagesAreComplete(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.IntRange(0, 60).Draw(rt, "agents")
		all := make([]*agents.Agent, 0, n)
		for i := range n {
			all = append(all, &agents.Agent{ID: fmt.Sprintf("a%03d", i), Labels: map[string]string{"odd": fmt.Sprint(i % 2)}})
		}
		rapid.Permutation(all).Draw(rt, "order")
		q := query{Where: []criterion{{path{"labels", "odd"}, opEq, "1"}}, Limit: rapid.IntRange(1, 20).Draw(rt, "limit")}
		var ids []string
		for {
			p := find(slices.Clone(all), q)
			require.Equal(t, n/2, p.Total)
			for _, a := range p.Agents {
				ids = append(ids, a.ID)
			}
			if p.Next == "" {
				break
			}
			q.After = p.Next
		}
		require.Len(t, ids, n/2)
		require.True(t, slices.IsSorted(ids))
	})
}
