package pool

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestTheQueueIsFirstComeFirstServed(t *testing.T) {
	var q queue
	list := make([]Waiter, 5)
	for i := range list {
		q.push(&list[i])
	}
	for i := range list {
		if q.length != len(list)-i || q.pop() != &list[i] {
			t.Fatalf("waiter %d did not come out in its turn", i)
		}
	}
	if q.pop() != nil || q.length != 0 || q.head != nil || q.tail != nil {
		t.Error("something is left in an empty queue")
	}
}

func TestAWaiterLeavesTheQueueOnlyOnce(t *testing.T) {
	var q queue
	var w, other Waiter
	if q.remove(&w) {
		t.Error("a waiter left that was never in the queue")
	}
	q.push(&w)
	q.push(&other)
	if !q.remove(&w) || q.remove(&w) {
		t.Error("leaving twice was not told from leaving once")
	}
	q.pop()
	if q.remove(&other) {
		t.Error("a waiter left after its turn had come")
	}
	q.push(&w)
	if q.pop() != &w {
		t.Error("a waiter could not come again")
	}
}

// The queue must do what a plain slice does, whoever leaves from where.
func TestTheQueueKeepsItsOrderWhoeverLeaves(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var q queue
	var model []*Waiter
	for range 5000 {
		switch n := random.IntN(3); {
		case n == 0 && len(model) > 0:
			i := random.IntN(len(model))
			if !q.remove(model[i]) {
				t.Fatal("a waiter in the queue could not leave")
			}
			model = slices.Delete(model, i, i+1)
		case n == 1 && len(model) > 0:
			if q.pop() != model[0] {
				t.Fatal("the wrong waiter came out")
			}
			model = model[1:]
		default:
			w := new(Waiter)
			q.push(w)
			model = append(model, w)
		}
		if q.length != len(model) {
			t.Fatalf("length %d, want %d", q.length, len(model))
		}
	}
	forward := []*Waiter{}
	for w := q.head; w != nil; w = w.next {
		forward = append(forward, w)
	}
	if !slices.Equal(forward, model) {
		t.Error("the links lead through the queue in another order")
	}
}
