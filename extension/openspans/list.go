// This file is the lists that entries stand in. They are intrusive: joining and leaving one costs no
// allocation and no search.

package openspans

// Which list a link belongs to. An entry is in at most one list of each kind.
const (
	inOrder  = iota // its process's stack while it is open; the queue of those leaving after that
	inLeaves        // its agent's spans without open children, oldest first: whom to evict
	inWheel         // a slot of the timing wheel
	linkKinds
)

type link struct{ prev, next *entry }

// list is a doubly linked list of entries of one kind, in the order in which they joined.
type list struct {
	kind       int
	head, tail *entry
	len        int
}

func (l *list) push(e *entry) {
	e.links[l.kind] = link{prev: l.tail}
	if l.tail == nil {
		l.head = e
	} else {
		l.tail.links[l.kind].next = e
	}
	l.tail = e
	l.len++
}

func (l *list) remove(e *entry) {
	at := e.links[l.kind]
	if at.prev == nil {
		l.head = at.next
	} else {
		at.prev.links[l.kind].next = at.next
	}
	if at.next == nil {
		l.tail = at.prev
	} else {
		at.next.links[l.kind].prev = at.prev
	}
	e.links[l.kind] = link{}
	l.len--
}

// after returns the entry that follows e.
func (l *list) after(e *entry) *entry { return e.links[l.kind].next }

// before returns the entry that e follows.
func (l *list) before(e *entry) *entry { return e.links[l.kind].prev }
