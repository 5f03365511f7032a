# %% compliance_recall.quiz
answer("compliance_recall", q1="b", q2="c")
