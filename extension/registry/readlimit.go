// This file bounds what one OpAMP message may be: opamp-go's server reads messages of any size.

package registry

import (
	"errors"
	"net"
	"sync/atomic"

	"github.com/open-telemetry/opamp-go/server/types"
)

var errMessageTooLarge = errors.New("opamp: the message is too large")

// frameSlack is for headers of HTTP and of WebSocket frames, and what was read ahead.
const frameSlack = 64 << 10

// limitedListener accepts connections on which no more than limit bytes come between two messages.
type limitedListener struct {
	net.Listener
	limit int64
}

func (l limitedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	limited := &limitedConn{Conn: c, limit: l.limit + frameSlack}
	limited.left.Store(limited.limit)
	return limited, nil
}

// limitedConn fails once more was read than a message may be; refill follows each message that was whole.
type limitedConn struct {
	net.Conn
	limit int64
	left  atomic.Int64
}

func (c *limitedConn) Read(p []byte) (int, error) {
	left := c.left.Load()
	if left <= 0 {
		return 0, errMessageTooLarge
	}
	n, err := c.Conn.Read(p[:min(int64(len(p)), left)])
	c.left.Add(int64(-n))
	return n, err
}

// refill allows the connection its next message.
func refill(conn types.Connection) {
	if c, ok := conn.Connection().(*limitedConn); ok {
		c.left.Store(c.limit)
	}
}
