// This file is the stored form of a process: its contexts and its adopted parent.

package openspans

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/foundation-agent/foundation-agent/internal/spans"
)

// appendProcess appends the record of a process's contexts and adopted parent; one without either says
// that there are none any more.
func appendProcess(b []byte, p *process) []byte {
	b = appendBytes(append(b, recordProcess), fAgent, p.agent.id)
	b = appendBytes(b, fProcess, p.name)
	for _, f := range p.frames {
		var m []byte
		switch {
		case f.dead:
			m = appendUint(m, fFrameDead, 1)
		default:
			if f.owner != nil {
				m = appendKey(m, f.owner.key)
			}
			m = appendBytes(m, fFrameValue, encodeValues(f.values))
		}
		b = appendMessage(b, fFrame, m)
	}
	if a := p.adopted; a != nil {
		m := appendKey(nil, key{trace: a.TraceID, span: a.SpanID})
		m = appendBytes(m, fFrameValue, encodeValues(a.Context))
		m = appendBytes(m, fTraceState, a.TraceState)
		if a.Sampled {
			m = appendUint(m, fSampled, 1)
		}
		b = appendMessage(b, fAdopted, m)
	}
	return b
}

// storedFrame is a frame as it is read.
type storedFrame struct {
	owner  key
	values pcommon.Map
	dead   bool
}

// storedProcess is a process as it is read.
type storedProcess struct {
	agent, name string
	frames      []storedFrame
	adopted     *spans.Propagation
}

func readProcess(b []byte) (p storedProcess, err error) {
	err = eachField(b, func(num protowire.Number, _ uint64, v []byte) (err error) {
		switch num {
		case fAgent:
			p.agent = string(v)
		case fProcess:
			p.name = string(v)
		case fFrame:
			var f storedFrame
			f, err = readFrame(v)
			p.frames = append(p.frames, f)
		case fAdopted:
			p.adopted, err = readAdopted(v)
		}
		return err
	})
	return p, err
}

func readFrame(b []byte) (f storedFrame, err error) {
	f.values = pcommon.NewMap()
	err = eachField(b, func(num protowire.Number, n uint64, v []byte) (err error) {
		switch num {
		case fTrace:
			copy(f.owner.trace[:], v)
		case fSpan:
			copy(f.owner.span[:], v)
		case fFrameDead:
			f.dead = n != 0
		case fFrameValue:
			f.values, err = decodeValues(v)
		}
		return err
	})
	return f, err
}

func readAdopted(b []byte) (*spans.Propagation, error) {
	a := &spans.Propagation{Context: pcommon.NewMap()}
	return a, eachField(b, func(num protowire.Number, n uint64, v []byte) (err error) {
		switch num {
		case fTrace:
			copy(a.TraceID[:], v)
		case fSpan:
			copy(a.SpanID[:], v)
		case fFrameValue:
			a.Context, err = decodeValues(v)
		case fSampled:
			a.Sampled = n != 0
		case fTraceState:
			a.TraceState = string(v)
		}
		return err
	})
}
