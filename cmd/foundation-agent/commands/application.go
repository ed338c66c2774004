// This file lets a command act as an application: over the applications' socket, as a registered agent.

package commands

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/foundation-agent/foundation-agent/internal/door"
)

// tokenVariable is the environment variable with the agent's token.
const tokenVariable = "FOUNDATION_AGENT_TOKEN"

// application is on whose behalf a command calls.
type application struct {
	socket  string
	agent   string
	process string
	token   string
}

// addApplication gives a command the options that say on whose behalf it calls.
func addApplication(cmd *cobra.Command) *application {
	a := &application{}
	f := cmd.Flags()
	f.StringVar(&a.socket, "app-socket", filepath.Join(stateDirectory(), "run", "app.sock"), "applications' socket of the agent")
	f.StringVar(&a.agent, "agent", "", "agent that the call is for; its token proves it, or its process being the caller")
	f.StringVar(&a.process, "process", "", "process within the agent")
	f.StringVar(&a.token, "token", os.Getenv(tokenVariable), "token that the agent's registration was answered with ("+tokenVariable+")")
	// What the environment holds is no default to be shown.
	f.Lookup("token").DefValue = ""
	return a
}

// fields adds who calls to a body.
func (a *application) fields(body map[string]any) map[string]any {
	if a.agent != "" {
		body["agent_id"] = a.agent
	}
	if a.process != "" {
		body["process"] = a.process
	}
	return body
}

// call makes one call of the applications' API.
func (a *application) call(cmd *cobra.Command, o *options, req request) (json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(cmd.Context(), o.timeout)
	defer cancel()
	if a.token != "" {
		req.header = http.Header{door.TokenHeader: {a.token}}
	}
	return newClient(a.socket, o.trusts).call(ctx, req)
}

// typed reads options of the form key=value as JSON values where they are, as text where they are not.
func typed(pairs map[string]string) map[string]any {
	values := make(map[string]any, len(pairs))
	for key, text := range pairs {
		values[key] = parseValue(text)
	}
	return values
}

// numbers reads options of the form key=number.
func numbers(name string, pairs map[string]string) (map[string]float64, error) {
	values := make(map[string]float64, len(pairs))
	for key, text := range pairs {
		n, err := strconv.ParseFloat(text, 64)
		if err != nil {
			return nil, exitf(ExitUsage, "--%s %s=%s: the value must be a number", name, key, text)
		}
		values[key] = n
	}
	return values, nil
}
