// Copyright 2026 The Hawser Authors
// SPDX-License-Identifier: Apache-2.0

package fsm

// get returns a small stored value as the batch has left it so far, nil when
// there is none. It must not be modified.
func (c *changes) get(key []byte) ([]byte, error) {
	if value, ok := c.values[string(key)]; ok {
		return value, nil
	}
	value, _, err := c.src.Get(key)
	return value, err
}

// put sets a small value that is read with get. It keeps value.
func (c *changes) put(key, value []byte) {
	c.note(key, value)
	c.batch.Set(key, value)
}

// drop removes a value that is read with get.
func (c *changes) drop(key []byte) {
	c.note(key, nil)
	c.batch.Delete(key)
}

func (c *changes) note(key, value []byte) {
	if c.values == nil {
		c.values = make(map[string][]byte)
	}
	c.values[string(key)] = value
}
