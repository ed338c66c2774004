// This file is an OpAMP client, opamp-go's own, as a process of its own.

package registry

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	opampclient "github.com/open-telemetry/opamp-go/client"
	"github.com/open-telemetry/opamp-go/client/types"
	"github.com/open-telemetry/opamp-go/protobufs"
)

// opampSpec says how a child connects. Its commands are "health BOOL TEXT", "config TEXT" and "stop".
type opampSpec struct {
	URL string // ws:// or http://
	UID string
	// Capabilities beside status, health and effective configuration.
	Heartbeat time.Duration
	Name      string // attribute service.name
}

func runOpAMPChild(spec opampSpec) int {
	var config atomic.Value
	config.Store("receivers: {}")
	client := opampclient.OpAMPClient(opampclient.NewWebSocket(nil))
	if strings.HasPrefix(spec.URL, "http:") {
		client = opampclient.NewHTTP(nil)
	}
	text := func(v string) *protobufs.AnyValue {
		return &protobufs.AnyValue{Value: &protobufs.AnyValue_StringValue{StringValue: v}}
	}
	_ = client.SetAgentDescription(&protobufs.AgentDescription{
		IdentifyingAttributes: []*protobufs.KeyValue{{Key: "service.name", Value: text(spec.Name)}},
		NonIdentifyingAttributes: []*protobufs.KeyValue{
			{Key: "os.type", Value: text("linux")},
			{Key: "process.pid", Value: &protobufs.AnyValue{Value: &protobufs.AnyValue_IntValue{IntValue: 1}}},
		},
	})
	capabilities := protobufs.AgentCapabilities_AgentCapabilities_ReportsStatus |
		protobufs.AgentCapabilities_AgentCapabilities_ReportsHealth |
		protobufs.AgentCapabilities_AgentCapabilities_ReportsEffectiveConfig
	if spec.Heartbeat > 0 {
		capabilities |= protobufs.AgentCapabilities_AgentCapabilities_ReportsHeartbeat
	}
	_ = client.SetHealth(&protobufs.ComponentHealth{Healthy: true, Status: "started"}) // before the capability is set
	if err := client.SetCapabilities(&capabilities); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 95
	}
	uid := uuid.MustParse(spec.UID)
	err := client.Start(context.Background(), types.StartSettings{
		OpAMPServerURL: spec.URL, InstanceUid: types.InstanceUid(uid), HeartbeatInterval: &spec.Heartbeat,
		Callbacks: types.Callbacks{
			GetEffectiveConfig: func(context.Context) (*protobufs.EffectiveConfig, error) {
				return &protobufs.EffectiveConfig{ConfigMap: &protobufs.AgentConfigMap{ConfigMap: map[string]*protobufs.AgentConfigFile{
					"": {Body: []byte(config.Load().(string)), ContentType: "text/yaml"},
				}}}, nil
			},
			OnMessage: func(_ context.Context, m *types.MessageData) {
				if m.AgentIdentification != nil {
					fmt.Printf("%q\n", "renamed "+uuid.UUID(m.AgentIdentification.NewInstanceUid).String())
				}
			},
			OnError: func(_ context.Context, e *protobufs.ServerErrorResponse) { fmt.Printf("%q\n", "error "+e.ErrorMessage) },
		},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 96
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		command, rest, _ := strings.Cut(in.Text(), " ")
		switch command {
		case "health":
			healthy, why, _ := strings.Cut(rest, " ")
			_ = client.SetHealth(&protobufs.ComponentHealth{Healthy: healthy == "true", LastError: why})
		case "config":
			config.Store(rest)
			_ = client.UpdateEffectiveConfig(context.Background())
		case "stop":
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			_ = client.Stop(ctx)
			return 0
		}
	}
	return 0
}
